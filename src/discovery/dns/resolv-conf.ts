/**
 * Which DNS servers does `resolv.conf` name, and how patiently are they asked? Pure.
 *
 * `search` and `domain` are not read: a server name is a whole name, and one that is completed with the operator's own domain would
 * lead to another server. A file without a server means the one on this machine, as for the system's own resolver (resolv.conf(5)).
 */
import { parseDnsServerAddress } from '../../allow/dns-server.ts'
import type { DnsServerAddress } from '../../allow/dns-server.ts'

export interface ResolvConf {
  /** At least one. */
  readonly servers: readonly DnsServerAddress[]
  /** False: it names none. */
  readonly named: boolean
  /** What it says itself. */
  readonly timeoutMs: number | null
  readonly attempts: number | null
}

const MOST_SERVERS = 8
// resolv.conf(5): more is taken for that.
const LONGEST_TIMEOUT_S = 30
const MOST_ATTEMPTS = 5

export function parseResolvConf(text: string): ResolvConf {
  const servers: DnsServerAddress[] = []
  let timeoutMs: number | null = null
  let attempts: number | null = null
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (keyword === 'nameserver') servers.push(...(listed(values[0]) ?? []))
    if (keyword !== 'options') continue
    for (const option of values) {
      const [, name, digits] = /^(timeout|attempts):([0-9]{1,6})$/.exec(option) ?? []
      const value = Math.max(1, Number(digits))
      if (name === 'timeout') timeoutMs = Math.min(value, LONGEST_TIMEOUT_S) * 1_000
      if (name === 'attempts') attempts = Math.min(value, MOST_ATTEMPTS)
    }
  }
  const named = servers.length > 0
  const own = { address: '127.0.0.1', port: null }
  return { servers: named ? servers.slice(0, MOST_SERVERS) : [own], named, timeoutMs, attempts }
}

function listed(text: string | undefined): [DnsServerAddress] | null {
  const server = text === undefined ? null : parseDnsServerAddress(text)
  return server === null ? null : [server]
}
