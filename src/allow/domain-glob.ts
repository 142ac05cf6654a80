/**
 * Which hosts does `*.example.org` mean?
 *
 * `*` stands for any number of characters and `?` for one, dots included, as in the spec's server ACLs
 * (`m.room.server_acl`). Upper and lower case are the same. A glob with a port means that port alone, one without means
 * every port. `[2001:db8::1]` means that address in any spelling.
 */
import { isIPv6 } from 'node:net'
import { splitServerName } from '../matrix/ids.ts'
import type { ServerName } from '../matrix/ids.ts'
import { oneLine } from '../observe/one-line.ts'
import { isSameIp } from './ip.ts'

export interface DomainGlob {
  readonly text: string
  /** `host` without brackets; `port` null where none is named. */
  has(host: string, port: number | null): boolean
}

const GLOB = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9A-Za-z.*?_-]+))(?::([0-9]{1,5}))?$/

/** Throws where `text` is not a glob. */
export function parseDomainGlob(text: string): DomainGlob {
  const [, literal, glob = '', digits] = (isIPv6(text) ? GLOB.exec(`[${text}]`) : GLOB.exec(text)) ?? []
  const port = digits === undefined ? null : Number(digits)
  const isHost = literal === undefined ? glob !== '' && !glob.endsWith('.') : isIPv6(literal)
  if (!isHost || (port !== null && (port === 0 || port > 65535)))
    throw new TypeError(
      `${JSON.stringify(oneLine(text, 60))} is not a host name, or a glob such as *.example.org (with a port or without)`,
    )
  const pattern = glob.toLowerCase()
  return {
    text,
    has: (host, hostPort) =>
      (port === null || port === hostPort) &&
      (literal === undefined ? matches(pattern, host.toLowerCase()) : isSameIp(literal, host)),
  }
}

/** Whether it names this server. */
export function isNamedBy(glob: DomainGlob, name: ServerName): boolean {
  const { host, port } = splitServerName(name)
  return glob.has(host, port)
}

export function isDomainGlob(text: string): boolean {
  try {
    parseDomainGlob(text)
    return true
  } catch {
    return false
  }
}

/** In at most so many steps as both have characters, multiplied: no glob takes long. */
function matches(pattern: string, text: string): boolean {
  let [at, read] = [0, 0]
  /** Where the last `*` stood, and how much it stands for so far. */
  let star: { after: number; to: number } | null = null
  while (read < text.length) {
    if (pattern[at] === '*') {
      star = { after: ++at, to: read }
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === text[read])) {
      at++
      read++
    } else if (star !== null) {
      at = star.after
      read = ++star.to
    } else {
      return false
    }
  }
  while (pattern[at] === '*') at++
  return at === pattern.length
}
