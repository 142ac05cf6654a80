/**
 * For how long does an answer of `/.well-known/matrix/server` count?
 *
 * Spec, "Resolving server names", step 3: cache headers should be respected; 24 hours where there are none; 48 hours at
 * most; errors for up to an hour, longer and longer where they repeat. Below five minutes nothing is asked again,
 * whatever the headers say: a header must not make us ask before every request.
 */
import { LONGEST_LIFE_MS } from '../pace/shared-answers.ts'

const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const SHORTEST_LIFE_MS = 5 * MINUTE_MS
export const ORDINARY_LIFE_MS = 24 * HOUR_MS
/** An error, and a 404, which the spec's text counts among them. */
export const LONGEST_ERROR_MS = HOUR_MS
export const FIRST_ERROR_MS = MINUTE_MS

/** The headers' values as they came; several of one name are joined by a comma (RFC 9110, 5.3). */
export interface CacheHeaders {
  readonly cacheControl?: string | undefined
  readonly expires?: string | undefined
  readonly date?: string | undefined
  readonly age?: string | undefined
}

/** The life of a valid answer that came at `now` (milliseconds since the epoch): 5 minutes to 48 hours. */
export function lifeOfAnswer(headers: CacheHeaders, now: number): number {
  return clamp(askedFor(headers, now) ?? ORDINARY_LIFE_MS, SHORTEST_LIFE_MS, LONGEST_LIFE_MS)
}

/** The life of a 404: 5 minutes to an hour. */
export function lifeOfAbsence(headers: CacheHeaders, now: number): number {
  return clamp(askedFor(headers, now) ?? LONGEST_ERROR_MS, SHORTEST_LIFE_MS, LONGEST_ERROR_MS)
}

/** How an error's waits grow. */
export interface ErrorWaits {
  readonly firstErrorMs: number
  readonly longestErrorMs: number
}

/**
 * How long an error is remembered after `failures` of them in a row: the first wait, doubled each time, up to the
 * longest. `random` (0 to 1) takes up to a fifth off, so that what failed together is not asked again together.
 */
export function lifeOfError(failures: number, random: number, waits: ErrorWaits): number {
  const doubled = waits.firstErrorMs * 2 ** clamp(failures - 1, 0, 30)
  const longest = Math.min(waits.longestErrorMs, LONGEST_ERROR_MS)
  return Math.round(Math.min(doubled, longest) * (1 - 0.2 * clamp(random, 0, 1)))
}

/** Milliseconds for which the headers call it fresh (RFC 9111, 4.2), 0 for "not at all"; null where they say nothing. */
function askedFor({ cacheControl, expires, date, age }: CacheHeaders, now: number): number | null {
  const directives = directivesOf(cacheControl ?? '')
  if (directives.has('no-store') || directives.has('no-cache')) return 0
  // RFC 9111, 5.2.2.1 and 5.3: max-age goes before Expires. We are a private cache: s-maxage is for others.
  const lifetime = directives.has('max-age')
    ? secondsOf(directives.get('max-age'))
    : expires === undefined
      ? null
      : untilExpiry(expires, httpDate(date ?? '') ?? now)
  // RFC 9111, 4.2.3: what other caches kept it for counts as well.
  return lifetime === null ? null : Math.max(0, lifetime - secondsOf(age))
}

/** Names in lower case. Of equal ones the shortest time counts (RFC 9111, 4.2.1: the first, or stale). */
function directivesOf(header: string): Map<string, string> {
  const directives = new Map<string, string>()
  for (const part of header.split(',')) {
    const [name = '', ...rest] = part.split('=')
    const key = name.trim().toLowerCase()
    const value = rest
      .join('=')
      .trim()
      .replace(/^"(.*)"$/, '$1')
    const before = directives.get(key)
    if (before === undefined || secondsOf(value) < secondsOf(before)) directives.set(key, value)
  }
  return directives
}

/** A whole number of seconds, in milliseconds. Anything else is 0: RFC 9111, 4.2.1, calls invalid freshness stale. */
function secondsOf(text: string | undefined): number {
  const digits = text?.trim() ?? ''
  return /^\d+$/.test(digits) ? Math.min(Number(digits), 2 ** 31) * 1000 : 0
}

/** RFC 9111, 5.3: an invalid date, `0` above all, lies in the past. */
function untilExpiry(expires: string, from: number): number {
  const at = httpDate(expires)
  return at === null ? 0 : Math.max(0, at - from)
}

/** RFC 9110, 5.6.7: three forms, all of them in GMT, and each begins with the name of a day. */
function httpDate(text: string): number | null {
  const date = text.trim()
  if (!/^[A-Z][a-z]{2,8},? /.test(date) || date.length > 40) return null
  const at = Date.parse(/(?:GMT|UTC)$/.test(date) ? date : `${date} GMT`)
  return Number.isNaN(at) ? null : at
}

const clamp = (value: number, least: number, most: number) => Math.min(Math.max(value, least), most)
