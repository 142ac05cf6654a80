/** A DNS server as settings and `resolv.conf` write it: `192.0.2.1`, `192.0.2.1:5353`, `2001:db8::1`, `[2001:db8::1]:5353`, `fe80::1%eth0`. */
import { isIPv4, isIPv6 } from 'node:net'

export interface DnsServerAddress {
  /** With the zone that a link-local one needs (`fe80::1%eth0`). */
  readonly address: string
  /** Null: the usual one. */
  readonly port: number | null
}

const IN_BRACKETS = /^\[([^\]]+)\](?::([0-9]{1,5}))?$/
const WITH_PORT = /^([0-9.]+):([0-9]{1,5})$/

/** Null where `text` is anything else; a name is not taken, as there would be nobody to look it up. */
export function parseDnsServerAddress(text: string): DnsServerAddress | null {
  const bracketed = IN_BRACKETS.exec(text)
  const [, address = text, digits] = bracketed ?? WITH_PORT.exec(text) ?? []
  if (!(isIPv6(address) || (bracketed === null && isIPv4(address)))) return null
  const port = digits === undefined ? null : Number(digits)
  return port === 0 || (port ?? 0) > 65_535 ? null : { address, port }
}

/** As one reads it in a message. */
export function showDnsServer({ address, port }: { address: string; port: number }, usual: number): string {
  if (port === usual) return address
  return isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`
}
