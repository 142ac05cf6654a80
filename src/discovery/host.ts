/**
 * Is this text, which another server gave us, a host that can be connected to: an IP address, or a name to look up?
 *
 * Stricter than the DNS, where any byte may be in a name. What only a URL parser would take for an address
 * (`127.1`, `0x7f.1`, `2130706433`) is neither, so that no two parsers can read two hosts from it.
 */
import { isIPv4, isIPv6 } from 'node:net'

export interface Host {
  /** Without the brackets of an IPv6 address, and without a trailing dot. */
  readonly name: string
  readonly literal: boolean
}

const LONGEST_NAME = 253
// Names of hosts that hold an underscore exist, and SRV records and redirects lead to them.
const HOST_LABELS = /^[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*$/
const ENDS_LIKE_A_NUMBER = /(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)$/

/** `text` as a host, or null. Brackets around an IPv6 address may be there; a zone (`%eth0`) may not. */
export function parseHost(text: string): Host | null {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text
  if (isIPv6(bare)) return bare.includes('%') ? null : { name: bare, literal: true }
  if (bare !== text) return null
  if (isIPv4(text)) return { name: text, literal: true }
  const name = text.endsWith('.') ? text.slice(0, -1) : text
  if (name.length > LONGEST_NAME || !HOST_LABELS.test(name) || ENDS_LIKE_A_NUMBER.test(name)) return null
  return { name, literal: false }
}
