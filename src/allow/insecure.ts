/**
 * Whose certificates are not verified? Those that `federation.insecure_domains` lists, and nobody else's.
 *
 * A glob means the name that the certificate would have to be for: after a delegation this is the delegated name. So nobody
 * else's delegation makes a connection insecure, except one to a server that is listed. A range means the address that is
 * connected to. Through a proxy that address is known only where it is the name itself.
 */
import { parseDomainGlob } from './domain-glob.ts'
import { unmapped } from './embedded-ipv4.ts'
import { parseIp } from './ip.ts'
import { parseIpRange } from './ip-range.ts'

export interface Peer {
  /** The name or address that the certificate has to be for. */
  readonly tlsName: string
  /** What is connected to; through a proxy this may be a name. */
  readonly host: string
  readonly port: number
}

export type IsInsecure = (peer: Peer) => boolean

/** Throws where an entry is neither a glob nor a range. */
export function makeIsInsecure(entries: readonly string[]): IsInsecure {
  const all = entries.map(entryOf)
  return (peer) => all.some((isListed) => isListed(peer))
}

function entryOf(text: string): IsInsecure {
  if (text.includes('/') || parseIp(text) !== null) {
    const range = read(text, parseIpRange)
    return ({ host }) => {
      const ip = parseIp(host)
      return ip !== null && (range.has(ip) || range.has(unmapped(ip)))
    }
  }
  const glob = read(text, parseDomainGlob)
  return ({ tlsName, port }) => glob.has(tlsName, port)
}

function read<T>(text: string, parse: (text: string) => T): T {
  try {
    return parse(text)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'not a glob or a range'
    throw new TypeError(`federation.insecure_domains: ${why}`, { cause: error })
  }
}
