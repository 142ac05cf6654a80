/** For how long an answer of `.well-known` counts, by its headers: read by `lifetime.test.ts` and by the page of cases. */
import type { CacheHeaders } from '../../src/discovery/lifetime.ts'

export interface LifetimeCase {
  readonly about: string
  readonly headers: CacheHeaders
  /** Minutes. */
  readonly valid: number
  /** Minutes, for a 404. */
  readonly absent: number
}

/** When the answers came. */
export const CAME_AT = Date.parse('Sun, 29 Nov 2026 08:00:00 GMT')

const LONG = 48 * 60
const ORDINARY = 24 * 60
const cacheControl = (header: string, valid: number, absent: number, about = ''): LifetimeCase => ({
  about,
  headers: { cacheControl: header },
  valid,
  absent,
})
const expires = (
  header: string,
  valid: number,
  absent: number,
  about: string,
  date?: string,
): LifetimeCase => ({
  about,
  headers: { expires: header, date },
  valid,
  absent,
})

export const LIFETIMES: readonly LifetimeCase[] = [
  { about: 'no headers', headers: {}, valid: ORDINARY, absent: 60 },
  cacheControl('max-age=1800', 30, 30),
  cacheControl('public, Max-Age=1800, s-maxage=1', 30, 30, 's-maxage is for shared caches'),
  cacheControl('max-age="1800"', 30, 30, 'quoted'),
  cacheControl('max-age = 1800', 30, 30, 'with spaces'),
  cacheControl('max-age=7200', 120, 60, 'a 404 counts for an hour at most'),
  cacheControl('max-age=60', 5, 5, 'the floor'),
  cacheControl('max-age=0', 5, 5),
  cacheControl('max-age=604800', LONG, 60, 'the cap'),
  cacheControl('max-age=99999999999999999999999', LONG, 60),
  cacheControl('max-age=-1', 5, 5, 'invalid: stale'),
  cacheControl('max-age=1.5', 5, 5),
  cacheControl('max-age', 5, 5),
  cacheControl('max-age=1800, max-age=7200', 30, 30, 'two: the shorter one'),
  cacheControl('no-store', 5, 5),
  cacheControl('no-cache, max-age=7200', 5, 5),
  cacheControl('private', ORDINARY, 60, 'says nothing of the time'),
  cacheControl(',,=;"', ORDINARY, 60, 'unreadable: nothing'),
  {
    about: 'max-age goes before Expires',
    headers: { cacheControl: 'max-age=1800', expires: 'Sun, 29 Nov 2026 20:00:00 GMT' },
    valid: 30,
    absent: 30,
  },
  {
    about: 'was an hour in a cache',
    headers: { cacheControl: 'max-age=7200', age: '3600' },
    valid: 60,
    absent: 60,
  },
  {
    about: 'older than it may be',
    headers: { cacheControl: 'max-age=7200', age: '9000' },
    valid: 5,
    absent: 5,
  },
  {
    about: 'an Age that is not a number',
    headers: { cacheControl: 'max-age=1800', age: 'x' },
    valid: 30,
    absent: 30,
  },
  expires('Sun, 29 Nov 2026 08:30:00 GMT', 30, 30, ''),
  expires('Sunday, 29-Nov-26 08:30:00 GMT', 30, 30, 'an old form of dates'),
  expires('Sun Nov 29 08:30:00 2026', 30, 30, 'the oldest form, in GMT as well'),
  expires('Sun, 29 Nov 2026 07:00:00 GMT', 5, 5, 'in the past'),
  expires('0', 5, 5, 'invalid: in the past'),
  expires('Sun, 29 Nov 2099 08:00:00 GMT', LONG, 60, 'the cap'),
  expires(
    'Sun, 29 Nov 2026 03:30:00 GMT',
    30,
    30,
    "by the server's own clock",
    'Sun, 29 Nov 2026 03:00:00 GMT',
  ),
]
