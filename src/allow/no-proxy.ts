/**
 * What is connected to directly although there is a proxy?
 *
 * Entries as in the variable NO_PROXY: `example.org` and `.example.org` (that name and all below it), `*.example.org`
 * (those below it), an address, a range, any of the first four with `:PORT`, or `*`. A range means hosts that are written as
 * addresses: nothing is looked up in order to know how to connect.
 */
import { isIPv6 } from 'node:net'
import { unmapped } from './embedded-ipv4.ts'
import { oneLine } from '../observe/one-line.ts'
import { parseIp } from './ip.ts'
import { parseIpRange } from './ip-range.ts'
import type { Proxy } from './proxy-url.ts'

/** The proxy through which this host (a name or an address, without brackets) is reached; null: none. */
export type ProxyFor = (host: string, port: number) => Proxy | null

type Matches = (host: string, port: number) => boolean

/** Throws where an entry of `noProxy` can't be read. */
export function makeProxyFor(proxy: Proxy | null, noProxy: readonly string[]): ProxyFor {
  const direct = noProxy.map(entryOf)
  return (host, port) => (direct.some((matches) => matches(host, port)) ? null : proxy)
}

// One label of a host name, or `*` for all that stands before the first dot and any number of further labels.
const NAME = /^(?:\*?\.)?[0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*$/
const WITH_PORT = /^(?:\[([^\]]*)\]|([^:[\]]+))(?::(\d{1,5}))?$/

function entryOf(text: string): Matches {
  if (text === '*') return () => true
  const [, literal, name, digits] = (isIPv6(text) ? WITH_PORT.exec(`[${text}]`) : WITH_PORT.exec(text)) ?? []
  const host = literal ?? name ?? text
  const port = digits === undefined ? null : Number(digits)
  const matches = host.includes('/') || parseIp(host) !== null ? rangeOf(host) : nameOf(host, literal)
  if (matches === null || (port !== null && (port === 0 || port > 65535)))
    throw new TypeError(
      `federation.no_proxy: ${JSON.stringify(oneLine(text, 60))} is not a host name, an address, a range or * (a list has one in each entry)`,
    )
  return (host, hostPort) => (port === null || port === hostPort) && matches(host, hostPort)
}

function rangeOf(text: string): Matches | null {
  let range: ReturnType<typeof parseIpRange>
  try {
    range = parseIpRange(text)
  } catch {
    return null
  }
  return (host) => {
    const ip = parseIp(host)
    return ip !== null && (range.has(ip) || range.has(unmapped(ip)))
  }
}

function nameOf(text: string, literal: string | undefined): Matches | null {
  // What ends in a number is meant as an address, and is none.
  if (literal !== undefined || !NAME.test(text) || /(?:^|\.)\d+$/.test(text)) return null
  const lower = text.toLowerCase()
  const name = lower.replace(/^\*?\./, '')
  const orItself = !lower.startsWith('*')
  return (host) => {
    const one = host.toLowerCase()
    return (orItself && one === name) || one.endsWith(`.${name}`)
  }
}
