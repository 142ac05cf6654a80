/**
 * DER (ITU-T X.690), as much of it as a certificate needs: each function returns one whole value, tag and length
 * included, and a value of parts takes the parts as they came out of here.
 */
import { isIPv4 } from 'node:net'

export const sequence = (...parts: readonly Buffer[]): Buffer => tagged(0x30, Buffer.concat(parts))
export const set = (...parts: readonly Buffer[]): Buffer => tagged(0x31, Buffer.concat(parts))
export const octets = (bytes: Buffer): Buffer => tagged(0x04, bytes)
export const utf8 = (text: string): Buffer => tagged(0x0c, Buffer.from(text))
export const yes = (): Buffer => tagged(0x01, Buffer.from([0xff]))

/** `[number]` around a whole value. */
export const explicit = (number: number, part: Buffer): Buffer => tagged(0xa0 + number, part)
/** `[number]` in the place of a plain value's own tag. */
export const implicit = (number: number, bytes: Buffer): Buffer => tagged(0x80 + number, bytes)

/** A number of any size, from its bytes, which are taken as unsigned. */
export function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0)
  const least = first < 0 ? Buffer.from([0]) : bytes.subarray(first)
  // A leading bit of one would be a minus.
  return tagged(0x02, (least[0] ?? 0) < 0x80 ? least : Buffer.concat([Buffer.from([0]), least]))
}

/** Whole bytes, or with `unused` bits of the last one that do not count. */
export const bits = (bytes: Buffer, unused = 0): Buffer =>
  tagged(0x03, Buffer.concat([Buffer.from([unused]), bytes]))

/** `oid('2.5.29.19')`. */
export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return tagged(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

/** RFC 5280 4.1.2.5: two digits for the year up to 2049, four from then on. */
export function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return digits < '2050' ? tagged(0x17, Buffer.from(digits.slice(2))) : tagged(0x18, Buffer.from(digits))
}

/** RFC 5280 4.2.1.6: an IP address as 4 or 16 bytes. */
export function addressBytes(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split('.').map(Number))
  // In one way of writing: lower-case hex, the longest run of zeros as `::`.
  const [head = [], tail = []] = new URL(`http://[${ip}]`).hostname.slice(1, -1).split('::').map(words)
  const zeros = Array<number>(8 - head.length - tail.length).fill(0)
  return Buffer.from([...head, ...zeros, ...tail].flatMap((word) => [word >> 8, word & 0xff]))
}

function words(text: string): number[] {
  return text === '' ? [] : text.split(':').map((word) => parseInt(word, 16))
}

function base128(number: number): number[] {
  const groups = [number & 0x7f]
  for (let rest = number >> 7; rest > 0; rest >>= 7) groups.unshift((rest & 0x7f) | 0x80)
  return groups
}

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const size = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}
