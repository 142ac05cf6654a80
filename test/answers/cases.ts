/**
 * What becomes of each answer to a transaction, as data: how far it got, what came back, and what limpet does then.
 *
 * The tests have real servers on loopback behave so and ask a whole daemon what it makes of it (`cases.test.ts`);
 * `docs/answers.md` is written from it.
 */
import type { Behaves, Behaviour } from '../../src/simulate/fleet/behaviour.ts'
import { errorPage, matrixError, tooManyRequests } from '../../src/simulate/fleet/behaviour.ts'

export interface AnswerCase {
  readonly about: string
  readonly does:
    Behaves | 'refuses connections' | 'has another name in its certificate' | 'never ends its answer'
  /** As the list of transactions has it. */
  readonly outcome: 'answered' | 'failed' | 'busy' | 'gone' | 'never_left'
  readonly status: number | null
  /** What an operator reads; null: nothing was wrong. Addresses are left out. */
  readonly message: string | null
  /** What it said of the PDU. */
  readonly pduError?: string
  /** `stays`: the same id and bytes go again. `made anew`: not a byte of it has left. */
  readonly transaction: 'done' | 'stays' | 'made anew'
  /** `backoff`: the ordinary one. A number: not before so many minutes. */
  readonly next: 'nothing is owed' | 'backoff' | number
}

const DAY = 24 * 60
const MINUTES_MS = 60_000

const done = { outcome: 'answered', transaction: 'done', next: 'nothing is owed', status: 200 } as const
const failed = { outcome: 'failed', transaction: 'stays', next: 'backoff' } as const
const fixed = (status: number, body = '', headers: Record<string, string> = {}): Behaviour => ({
  ...{ kind: 'status', status, body, headers },
})
/** A 200 with this for each PDU. */
const entries =
  (entry: string): Behaves =>
  ({ pduIds }) =>
    fixed(200, `{"pdus":{${pduIds.map((id) => `${JSON.stringify(id)}:${entry}`).join(',')}}}`)
const refused = (status: number, errcode: string, error: string): AnswerCase => ({
  ...failed,
  about: `${status} with a Matrix error`,
  does: matrixError(status, errcode, error),
  status,
  message: `answered ${status} ${errcode}: ${error}`,
})
const page = (status: number, does: Behaviour, message: string, about: string): AnswerCase => ({
  ...{ ...failed, about, does, status, message },
})

const ANSWERED: AnswerCase[] = [
  { ...done, about: '200 that lists the PDU', does: entries('{}'), message: null },
  { ...done, about: '200 that lists no PDU (`{"pdus":{}}`)', does: fixed(200, '{"pdus":{}}'), message: null },
  { ...done, about: '200 without `pdus` (`{}`)', does: fixed(200, '{}'), message: null },
  {
    ...{ ...done, about: '200 with an error for the PDU', does: entries('{"error":"Forbidden by ACL"}') },
    ...{ message: null, pduError: 'Forbidden by ACL' },
  },
  {
    ...{ ...done, about: '200 with an error that is no text', does: entries('{"error":{"a":1}}') },
    ...{ message: null, pduError: 'an error that is not a text' },
  },
  {
    ...{ ...done, about: '200 with an entry that is no object', does: entries('"ok"') },
    ...{ message: null, pduError: 'an entry that is no object' },
  },
]

const NO_JSON = 'answered 200 without a JSON object'
const NO_ANSWER: AnswerCase[] = [
  { ...failed, about: '200 with an HTML page', does: errorPage(200), status: 200, message: NO_JSON },
  { ...failed, about: '200 with nothing', does: fixed(200), status: 200, message: NO_JSON },
  { ...failed, about: '200 with a list', does: fixed(200, '[]'), status: 200, message: NO_JSON },
  { ...failed, about: '204', does: fixed(204), status: 204, message: 'answered 204' },
  ...[301, 302, 303, 307, 308].map((status): AnswerCase => ({
    ...{ ...failed, about: `${status}: never followed`, status, message: `answered ${status}` },
    does: fixed(status, '', { location: '/elsewhere' }),
  })),
]

const REFUSED: AnswerCase[] = [
  refused(400, 'M_BAD_JSON', 'Content not JSON.'),
  refused(401, 'M_UNAUTHORIZED', 'Failed to find any key to satisfy the request'),
  refused(403, 'M_FORBIDDEN', 'Federation denied with home.example.'),
  refused(404, 'M_UNRECOGNIZED', 'Unrecognized request'),
  page(404, errorPage(404), 'answered 404', '404 with a page of a proxy'),
  page(405, fixed(405, '', { server: 'nginx' }), 'answered 405 (server: nginx)', '405 with nothing'),
  {
    ...{ about: '410', outcome: 'gone', status: 410, transaction: 'stays', next: DAY },
    ...{ does: matrixError(410, 'M_NOT_FOUND', 'Gone'), message: 'answered 410 M_NOT_FOUND: Gone' },
  },
  refused(413, 'M_TOO_LARGE', 'request body too large'),
  page(
    413,
    fixed(413, '<html><head><title>413 Request Entity Too Large</title></head></html>', {
      server: 'nginx/1.24.0',
    }),
    'answered 413 (server: nginx/1.24.0): 413 Request Entity Too Large',
    '413 with a page of a proxy',
  ),
]

const busy = { outcome: 'busy', transaction: 'stays' } as const
const BUSY: AnswerCase[] = [
  {
    ...{ ...busy, about: '429 with `Retry-After` and `retry_after_ms`', status: 429, next: 70 },
    does: tooManyRequests(70 * MINUTES_MS),
    message: 'answered 429 M_LIMIT_EXCEEDED: Too Many Requests',
  },
  {
    ...{ ...busy, about: '429 with `retry_after_ms` alone', status: 429, next: 70 },
    does: fixed(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":${70 * MINUTES_MS}}`),
    message: 'answered 429 M_LIMIT_EXCEEDED',
  },
  {
    ...{ ...busy, about: '429 with `Retry-After` alone, of three days', status: 429, next: DAY },
    ...{ does: fixed(429, '', { 'retry-after': '259200' }), message: 'answered 429' },
  },
  {
    ...busy,
    about: '429 that does not say for how long',
    status: 429,
    next: 'backoff',
    does: fixed(429),
    message: 'answered 429',
  },
  {
    ...{ ...busy, about: '503 with `Retry-After`', status: 503, next: 70 },
    ...{ does: fixed(503, '', { 'retry-after': '4200' }), message: 'answered 503' },
  },
]

const BROKEN: AnswerCase[] = [
  refused(500, 'M_UNKNOWN', 'Internal server error'),
  page(502, errorPage(502), 'answered 502', '502 with a page of a proxy'),
  page(
    503,
    fixed(503, 'Service Unavailable'),
    'answered 503: Service Unavailable',
    '503 that does not say for how long',
  ),
  page(504, errorPage(504), 'answered 504', '504 with a page of a proxy'),
  page(
    520,
    fixed(
      520,
      '<!DOCTYPE html><title>Web server is returning an unknown error</title><style>b{}</style><p>Error 520',
      {
        server: 'cloudflare',
      },
    ),
    'answered 520 (server: cloudflare): Web server is returning an unknown error Error 520',
    '520 with a page of a CDN',
  ),
  page(
    522,
    fixed(522, 'error code: 522', { server: 'cloudflare' }),
    'answered 522 (server: cloudflare): error code: 522',
    '522 in a few words',
  ),
]

const CUT: AnswerCase[] = [
  {
    ...{ ...failed, about: 'the connection ends before an answer', status: null },
    ...{
      does: { kind: 'drop after processing' },
      message: 'the connection was closed before the answer was whole (UND_ERR_SOCKET)',
    },
  },
  {
    ...{ ...failed, about: 'the connection ends in the middle of the answer', status: 200 },
    ...{
      does: { kind: 'half an answer' },
      message:
        'the answer was cut off: the connection was closed before the answer was whole (UND_ERR_SOCKET)',
    },
  },
  {
    ...{ ...failed, about: 'no answer within the time-out', status: null },
    ...{ does: { kind: 'hang' }, message: 'no answer in time' },
  },
  {
    ...{ ...failed, about: 'an answer without an end', status: 200 },
    ...{ does: 'never ends its answer', message: 'the answer is larger than 256 KiB' },
  },
]

const never = { outcome: 'never_left', transaction: 'made anew', next: 'backoff', status: null } as const
const NEVER_LEFT: AnswerCase[] = [
  {
    ...never,
    about: 'no connection',
    does: 'refuses connections',
    message: 'nothing listens there (ECONNREFUSED)',
  },
  {
    ...{ ...never, about: 'a certificate of another name' },
    ...{
      does: 'has another name in its certificate',
      message: 'certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)',
    },
  },
]

/** By how far it got. */
export const ANSWERS: Readonly<Record<string, readonly AnswerCase[]>> = {
  'No connection': NEVER_LEFT,
  'No whole answer': CUT,
  'Answered: done': ANSWERED,
  '200 that is no answer, and redirects': NO_ANSWER,
  'It refuses': REFUSED,
  'It asks to wait': BUSY,
  'It is broken': BROKEN,
}
