/**
 * Does one of the operator's blocks, which are kept in the database, name this destination?
 *
 * There may be thousands, and every name is asked for: plain names and `*.example.org`, which nearly all of them are, are found by their
 * text, and only the others are tried one after the other.
 */
import { splitServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import { oneLine } from '../observe/one-line.ts'
import { parseDomainGlob } from './domain-glob.ts'
import type { DomainGlob } from './domain-glob.ts'
import type { VetDomain } from './domains.ts'

export interface Block {
  /** In lower case. */
  readonly glob: string
  readonly reason: string | null
  /** The name of the operator's token. */
  readonly by: string
  /** Since when, ms since the epoch. */
  readonly at: number
}

/** `host` and `*.host`, where no port is named. */
const PLAIN = /^(\*\.)?([0-9a-z._-]+)$/

/** Throws where a glob is none. */
export function makeVetBlocks(blocks: readonly Block[]): VetDomain {
  const exact = new Map<string, Block>()
  const below = new Map<string, Block>()
  const others: { readonly glob: DomainGlob; readonly block: Block }[] = []
  for (const block of blocks) {
    const glob = parseDomainGlob(block.glob)
    const [, star, host] = PLAIN.exec(block.glob) ?? []
    if (host === undefined) others.push({ glob, block })
    else (star === undefined ? exact : below).set(host, block)
  }

  function blockOf(name: ServerName): Block | null {
    const { host: text, port } = splitServerName(name)
    const host = text.toLowerCase()
    const named = exact.get(host)
    if (named !== undefined) return named
    for (let dot = host.indexOf('.'); dot > 0 && below.size > 0; dot = host.indexOf('.', dot + 1)) {
      const block = below.get(host.slice(dot + 1))
      if (block !== undefined) return block
    }
    return others.find(({ glob }) => glob.has(host, port))?.block ?? null
  }

  return (name) => {
    if (blocks.length === 0) return null
    const block = blockOf(name)
    return block && sentenceOf(block)
  }
}

function sentenceOf({ glob, reason, by, at }: Block): string {
  const since = new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
  const why = reason === null ? '' : `: ${oneLine(reason, 500)}`
  return `${glob} is blocked by ${oneLine(by, 60)} since ${since}${why}`
}
