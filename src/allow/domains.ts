/** Which destinations may be sent to, by their names? Those on the allow list, where there is one, and not on the deny list. */
import { splitServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import { parseDomainGlob } from './domain-glob.ts'
import type { DomainGlob } from './domain-glob.ts'

export interface DomainLists {
  /** Globs. Null: every name; an empty list: none. */
  readonly allowlist: readonly string[] | null
  /** Globs. Wins over the allow list. */
  readonly denylist: readonly string[]
}

/** Why nothing is sent to this destination, or null. */
export interface VetDomain {
  (destination: ServerName): string | null
  /** True: it says null whatever it is asked, for now. Left out: that is not known. */
  readonly blocksNobody?: () => boolean
}

/** Throws where an entry is not a glob. */
export function makeVetDomain({ allowlist, denylist }: DomainLists): VetDomain {
  const allowed = allowlist?.map((text) => globOf('domain_allowlist', text)) ?? null
  const denied = denylist.map((text) => globOf('domain_denylist', text))

  return function vetDomain(destination) {
    const { host, port } = splitServerName(destination)
    const glob = denied.find((one) => one.has(host, port))
    if (glob !== undefined) return `${glob.text} is in federation.domain_denylist`
    if (allowed === null || allowed.some((one) => one.has(host, port))) return null
    return 'it is not in federation.domain_allowlist'
  }
}

/** Null: no list is configured, so nobody is blocked and no name has to be matched. Throws where an entry is not a glob. */
export function vetDomainOf({
  domain_allowlist: allowlist,
  domain_denylist: denylist,
}: {
  readonly domain_allowlist: readonly string[] | null
  readonly domain_denylist: readonly string[]
}): VetDomain | null {
  return allowlist === null && denylist.length === 0 ? null : makeVetDomain({ allowlist, denylist })
}

function globOf(setting: string, text: string): DomainGlob {
  try {
    return parseDomainGlob(text)
  } catch (error) {
    throw new TypeError(`federation.${setting}: ${error instanceof Error ? error.message : 'not a glob'}`, {
      cause: error,
    })
  }
}
