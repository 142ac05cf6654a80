/**
 * Which IP address does this text say?
 *
 * Only the ordinary spellings: four decimal numbers without leading zeros (RFC 6943, 3.1.1: others are read differently by
 * different programs), and IPv6 without a zone id (RFC 4007, 11), which makes one text many addresses. Whatever else a
 * resolver or a URL parser takes for an address (`127.1`, `0x7f.1`, `2130706433`, `0177.0.0.1`) is null here.
 */
import { isIPv4, isIPv6 } from 'node:net'

export interface Ip {
  readonly family: 'ipv4' | 'ipv6'
  /** As it was given. */
  readonly text: string
  /** 4 or 16 numbers. */
  readonly bytes: readonly number[]
}

export function parseIp(text: string): Ip | null {
  if (isIPv4(text)) return { family: 'ipv4', text, bytes: text.split('.').map(Number) }
  if (!isIPv6(text) || text.includes('%')) return null
  return { family: 'ipv6', text, bytes: bytesOfIpv6(text) }
}

/** Whether both texts are addresses, and the same one: IPv6 in any spelling. */
export function isSameIp(one: string, other: string): boolean {
  const [a, b] = [parseIp(one), parseIp(other)]
  return a !== null && b !== null && a.bytes.join() === b.bytes.join()
}

/** `bytes` are four. */
export const ipv4Of = (bytes: readonly number[]): Ip => ({ family: 'ipv4', text: bytes.join('.'), bytes })

/** For people, and for an HTTP request: `192.0.2.1:443`, `[2001:db8::1]:443`, `b.example:443`. */
export const hostAndPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`

function bytesOfIpv6(text: string): number[] {
  const [head = '', tail] = text.split('::')
  const before = bytesOfGroups(head)
  const after = bytesOfGroups(tail ?? '')
  return [...before, ...new Array<number>(16 - before.length - after.length).fill(0), ...after]
}

function bytesOfGroups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number)
    const value = parseInt(group, 16)
    return [value >> 8, value & 255]
  })
}
