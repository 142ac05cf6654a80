/** Input for fuzzing: what other servers and name servers could send, near to what is right and far from it. */
import fc from 'fast-check'
import type { CacheHeaders } from '../../src/discovery/lifetime.ts'
import type { LookedUp, ServiceRecord } from '../../src/discovery/lookups.ts'
import { FUZZ_RUNS } from '../support/fuzz-runs.ts'

export const fuzzing = (runs = FUZZ_RUNS) => ({ numRuns: runs })

const anyText = fc.string({ unit: 'binary', maxLength: 40 })
/** Signs that mean something to one parser or another. */
const SIGNS = [
  ...'abXYZ019.-_:/[]@%#?\\ \t\r\n\0"\',;={}'.split(''),
  'é',
  '。',
  '\u200b',
  '\ud800',
  'xn--',
  '0x',
  '::',
  'ffff',
]
const oddText = fc.string({ unit: fc.constantFrom(...SIGNS), maxLength: 24 })

const label = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?$/)
/** Some are no names of the URL standard's: `xn--` says that punycode follows. */
const punycode = label.map((text) => `xn--${text}`)
const hostName = fc
  .array(fc.oneof({ weight: 9, arbitrary: label }, punycode), { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'))
const port = fc.oneof(
  fc.integer({ min: 1, max: 65535 }),
  fc.constantFrom(0, 443, 8448, 65536, 99999, -1, 8448.5, NaN, 1e21),
)
const literal = fc.oneof(
  fc.ipV4(),
  fc.ipV6().map((ip) => `[${ip}]`),
  fc.ipV4Extended(),
  fc.ipV6(),
)

/** Server names, and what is nearly one. */
export const nameText = fc.oneof(
  hostName,
  fc.tuple(fc.oneof(hostName, literal), port).map(([host, at]) => `${host}:${at}`),
  literal,
  fc.tuple(hostName, oddText).map((parts) => parts.join('')),
  fc.tuple(oddText, hostName).map((parts) => parts.join('')),
  oddText,
  anyText,
)

const jsonish = fc.oneof(
  nameText,
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(null, 0, -0, true, [], {}, '__proto__', 'toString'),
)
const objectText = fc
  .tuple(
    fc.array(fc.tuple(fc.constantFrom('m.server', 'M.server', '__proto__', 'x'), jsonish), {
      maxLength: 3,
    }),
  )
  .map(
    ([pairs]) =>
      `{${pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join(',')}}`,
  )

/** Bodies of `.well-known`. */
export const body: fc.Arbitrary<Uint8Array> = fc.oneof(
  nameText.map((name) => bytes(JSON.stringify({ 'm.server': name }))),
  objectText.map(bytes),
  fc.tuple(objectText, fc.nat(60)).map(([text, at]) => bytes(text.slice(0, at) + text.slice(at + 1))),
  fc.json().map(bytes),
  fc
    .constantFrom('['.repeat(20_000), '{"m.server":'.repeat(4000), '\ufeff{"m.server":"a"}', '"', '')
    .map(bytes),
  fc.uint8Array({ maxLength: 60 }),
)

const directive = fc.oneof(
  fc.constantFrom('no-store', 'no-cache', 'private', 'max-age', 'MAX-AGE=60', 's-maxage=9', ''),
  fc
    .tuple(
      fc.constantFrom('max-age', 'Max-Age ', 'x'),
      fc.oneof(fc.nat().map(String), oddText, fc.constantFrom('-1', '1e9', '9'.repeat(400))),
    )
    .map((parts) => parts.join('=')),
  oddText,
)
const dateText = fc.oneof(
  fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
  fc.constantFrom(
    '0',
    '-1',
    'Thu, 01 Jan 1970 00:00:00 GMT',
    'Sun Nov  6 08:49:37 1994',
    'Sunday, 06-Nov-94 08:49:37 GMT',
  ),
  oddText,
)
/** Headers that say how long an answer counts. */
export const cacheHeaders: fc.Arbitrary<CacheHeaders> = fc.record(
  {
    cacheControl: fc.array(directive, { maxLength: 4 }).map((parts) => parts.join(', ')),
    ...{ expires: dateText, date: dateText, age: fc.oneof(fc.nat().map(String), oddText) },
  },
  { requiredKeys: [] },
)

const target = fc.oneof(
  hostName,
  hostName.map((name) => `${name}.`),
  literal,
  fc.constantFrom('.', '', '..'),
  oddText,
  anyText,
)
const number = fc.oneof(fc.nat(65535), fc.constantFrom(0, 0, 1, 65535, 65536, -1, NaN, Infinity, 0.5))
const record: fc.Arbitrary<ServiceRecord> = fc.record({
  ...{ priority: number, weight: number, port: number, target },
})
/** SRV answers: numbers are sixteen bits in a packet; here they may be any. */
export const services: fc.Arbitrary<LookedUp<ServiceRecord>> = fc.oneof(
  fc.record({
    kind: fc.constant('found' as const),
    records: fc.array(record, { minLength: 1, maxLength: 12 }),
    ttlMs: fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 32 * 1000)),
  }),
  fc.record({ kind: fc.constant('none' as const), ttlMs: fc.nat() }),
  fc.record({ kind: fc.constant('failed' as const), why: oddText }),
)

/** `Location` headers, as the bytes that Node makes a string of. */
export const location: fc.Arbitrary<string> = fc.oneof(
  fc.webUrl({ validSchemes: ['https', 'http'], withFragments: true, withQueryParameters: true }),
  fc
    .tuple(
      fc.constantFrom('https://', 'https:', '//', '/', 'https:\\\\', 'HTTPS://a@', '?', '#'),
      fc.oneof(nameText, oddText),
    )
    .map((parts) => parts.join('')),
  oddText,
  anyText,
)

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
