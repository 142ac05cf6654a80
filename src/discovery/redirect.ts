/**
 * Where does a redirect of `.well-known` lead, and do we go there?
 *
 * Spec, "Resolving server names", step 3: redirects are followed, loops are avoided. Only over https: over http anybody
 * on the way could name another server. Which addresses may be connected to is decided at the connection, for each hop
 * as for the first.
 */
import { oneLine } from '../observe/one-line.ts'
import { parseHost } from './host.ts'
import type { Host } from './host.ts'

/** RFC 9110, 15.4: those that name another place for a GET. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Others follow as many. */
export const MOST_REDIRECTS = 10

const LONGEST_URL = 2048
const LONGEST_QUOTE = 120

export interface Hop {
  /** Without a fragment; two that are equal are the same place. */
  readonly url: string
  readonly host: Host
  /** Null: the one of https. */
  readonly port: number | null
}

export type NextHop =
  | { readonly kind: 'hop'; readonly hop: Hop }
  /** Why we do not go there. */
  | { readonly kind: 'refused'; readonly why: string }

export const isRedirect = (status: number): boolean => REDIRECTS.has(status)

/** The first hop. `host` is one of a server name. */
export function firstHop(host: string): Hop {
  return {
    url: `https://${host.toLowerCase()}/.well-known/matrix/server`,
    host: { name: host, literal: false },
    port: null,
  }
}

/** `location` as it came; `path`: the hops so far, at least one, the last of them redirects. */
export function nextHop(location: string | undefined, path: readonly Hop[]): NextHop {
  if (location === undefined || location === '') return refused('a redirect without a Location')
  if (location.length > LONGEST_URL) return refused('a redirect to a URL that is too long')
  // Node reads a header byte by byte; what is not ASCII there is UTF-8 in practice.
  const url = urlOf(Buffer.from(location, 'latin1').toString(), path.at(-1)?.url)
  const quoted = oneLine(location, LONGEST_QUOTE)
  if (url === null) return refused(`a redirect to what is not a URL: ${quoted}`)
  if (url.protocol !== 'https:') return refused(`a redirect to ${url.protocol}, not https: ${quoted}`)
  // Not quoted: it could be a password.
  if (url.username !== '' || url.password !== '') return refused('a redirect with a user name in its URL')
  const host = parseHost(url.hostname)
  if (host === null) return refused(`a redirect to what is not a host name: ${quoted}`)
  url.hash = ''
  if (path.some((hop) => hop.url === url.href)) return refused(`a loop of redirects: ${quoted}`)
  if (path.length > MOST_REDIRECTS) return refused(`more than ${MOST_REDIRECTS} redirects`)
  const port = url.port === '' ? null : Number(url.port)
  return port === 0 ? refused('a redirect to port 0') : { kind: 'hop', hop: { url: url.href, host, port } }
}

function urlOf(location: string, base: string | undefined): URL | null {
  try {
    return new URL(location, base)
  } catch {
    return null
  }
}

function refused(why: string): NextHop {
  return { kind: 'refused', why }
}
