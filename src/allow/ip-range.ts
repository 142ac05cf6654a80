/** Which addresses are in a range that is written as `10.0.0.0/8`, `2001:db8::/32` or one address? */
import { BlockList } from 'node:net'
import { oneLine } from '../observe/one-line.ts'
import { ipv4Of, parseIp } from './ip.ts'
import type { Ip } from './ip.ts'

export interface IpRange {
  readonly text: string
  /** How many bits its addresses have in common. */
  readonly length: number
  /** IPv4 addresses are in IPv4 ranges only, and IPv6 addresses in IPv6 ranges only. */
  has(ip: Ip): boolean
}

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255]
const MAPPED_LENGTH = 96

/**
 * Throws where `text` is not a range. A part of `::ffff:0:0/96` is the IPv4 range that is written in it. That prefix as a
 * whole is not: who copies it from a list of special addresses does not mean every IPv4 address there is.
 */
export function parseIpRange(text: string): IpRange {
  const [address = '', digits, ...rest] = text.split('/')
  const ip = parseIp(address)
  if (ip === null || rest.length > 0)
    throw new TypeError(`${shown(text)} is not an IP address or a range such as 10.0.0.0/8`)
  const most = ip.bytes.length * 8
  const length = digits === undefined ? most : /^\d{1,3}$/.test(digits) ? Number(digits) : NaN
  if (!(length <= most)) throw new TypeError(`${shown(text)}: after the / comes a number from 0 to ${most}`)
  const isMapped = length > MAPPED_LENGTH && MAPPED.every((byte, i) => ip.bytes[i] === byte)
  const base = isMapped ? ipv4Of(ip.bytes.slice(12)) : ip
  const common = isMapped ? length - MAPPED_LENGTH : length
  const list = new BlockList()
  list.addSubnet(base.text, common, base.family)
  // `BlockList` compares the families with each other: `::ffff:0:0/96` would have all of IPv4.
  return {
    text,
    length: common,
    has: ({ family, text: one }) => family === base.family && list.check(one, family),
  }
}

const shown = (text: string) => JSON.stringify(oneLine(text, 60))
