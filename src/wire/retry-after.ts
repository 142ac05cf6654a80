/**
 * How long does an answer ask us to stay away?
 *
 * There are two places for it: the `Retry-After` header, in seconds or as a date (RFC 9110, 10.2.3), and
 * `retry_after_ms` in the JSON body (Matrix; deprecated in favour of the header since v1.10, and still the only one
 * that many send). If both are there, the longer one counts: waiting too long is polite, coming too soon starts the
 * wait again.
 */

/** Nobody may send us away for longer than this with one answer. */
export const LONGEST_WAIT_MS = 24 * 60 * 60 * 1000

export interface RetryAdvice {
  /** The `Retry-After` header's value. */
  readonly header: string | undefined
  /** `retry_after_ms` of the answer's body, whatever it is. */
  readonly retryAfterMs: unknown
  /** Milliseconds since the epoch, for a header that is a date. */
  readonly now: number
}

/** The wait asked for, in milliseconds, 0 to 24 h; null where nothing readable asks for one. */
export function retryAfter({ header, retryAfterMs, now }: RetryAdvice): number | null {
  const waits = [fromHeader(header, now), fromBody(retryAfterMs)].filter((wait) => wait !== null)
  if (waits.length === 0) return null
  return Math.min(Math.max(0, ...waits), LONGEST_WAIT_MS)
}

function fromHeader(header: string | undefined, now: number): number | null {
  const text = header?.trim() ?? ''
  if (/^\d+$/.test(text)) return Number(text) * 1000
  // An HTTP date begins with the name of a day; `Date.parse` alone would read `1.5` or `-3` as a date.
  if (!/^[A-Z][a-z]{2,8},? /.test(text)) return null
  const at = Date.parse(text)
  return Number.isNaN(at) ? null : at - now
}

function fromBody(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? Math.ceil(value) : null
}
