/**
 * Which settings does `limpet run` need, so that it reaches a server on 127.0.0.1 whose certificate authority is ours?
 *
 * Loopback addresses are on the default deny list, and nobody trusts the authority. Lists of names, a deny list of names
 * and a proxy may stand in the way too. A list in the environment replaces that of the file, so each is shown whole.
 */
import { isIPv4 } from 'node:net'
import { makeVetDomain } from '../../allow/domains.ts'
import { makeProxyFor } from '../../allow/no-proxy.ts'
import { makeVet } from '../../allow/vet.ts'
import { parseDomainGlob } from '../../allow/domain-glob.ts'
import type { Config } from '../../config/config.ts'
import { parseServerName, splitServerName } from '../../matrix/ids.ts'
import { shellWord } from '../shell-word.ts'

/** Keys of `federation`, with their whole lists. */
export type NeededSettings = Readonly<Record<string, readonly string[]>>

export interface ToReach {
  readonly serverName: string
  readonly address: string
  readonly port: number
  /** PEM file, absolute; and how it is written in a setting. */
  readonly caPath: string
  readonly caShown: string
}

/** Empty: `run` reaches it as it is configured. */
export function neededSettings(
  { federation }: Pick<Config, 'federation'>,
  { serverName, address, port, caPath, caShown }: ToReach,
): NeededSettings {
  const needed: Record<string, readonly string[]> = {}
  const { custom_ca_paths: cas, ip_allowlist: allowed, ip_denylist: denied } = federation
  if (!cas.includes(caPath)) needed['custom_ca_paths'] = [...cas, caShown]
  if (makeVet({ denylist: denied, allowlist: allowed })(address) !== null)
    needed['ip_allowlist'] = [...allowed, address]
  const { domain_allowlist: allowlist, domain_denylist: denylist } = federation
  const name = parseServerName(serverName)
  if (name !== null && makeVetDomain({ allowlist, denylist: [] })(name) !== null)
    needed['domain_allowlist'] = [...(allowlist ?? []), address]
  if (name !== null && makeVetDomain({ allowlist: null, denylist })(name) !== null) {
    const { host, port: own } = splitServerName(name)
    needed['domain_denylist'] = denylist.filter((glob) => !parseDomainGlob(glob).has(host, own))
  }
  if (makeProxyFor(federation.proxy, federation.no_proxy)(address, port) !== null)
    needed['no_proxy'] = [...federation.no_proxy, address]
  return needed
}

/** As words before a command: `LIMPET_FEDERATION__IP_ALLOWLIST=…`. */
export function asEnvironment(settings: NeededSettings): string[] {
  return Object.entries(settings).map(
    ([key, values]) => `LIMPET_FEDERATION__${key.toUpperCase()}=${shellWord(flow(values))}`,
  )
}

/** As lines of `limpet.yaml`. */
export function asYaml(settings: NeededSettings): string[] {
  return ['federation:', ...Object.entries(settings).map(([key, values]) => `  ${key}: ${flow(values)}`)]
}

/** A list in YAML, in one line. */
const flow = (values: readonly string[]): string => `[${values.map(scalar).join(', ')}]`
/** JSON strings are YAML. */
const scalar = (text: string): string =>
  isIPv4(text) || /^[A-Za-z_./][A-Za-z0-9_./-]*$/.test(text) ? text : JSON.stringify(text)
