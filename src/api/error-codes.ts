/**
 * Every `errcode` that limpet answers over HTTP: when, and what to do about it. `test/reference/error-codes.test.ts` looks whether the source has
 * another one, and whether each is used.
 */
import { z } from 'zod'
import { answer } from './shapes.ts'

interface ErrorCode {
  /** With which HTTP statuses. */
  readonly statuses: readonly number[]
  readonly when: string
  readonly todo: string
}

export const ERROR_CODES = {
  M_BAD_JSON: {
    statuses: [400],
    when: 'The body is missing, is not JSON (or not UTF-8), has a duplicate key, half of a surrogate pair, or numbers that canonical JSON cannot have; or its length is not what its header says.',
    todo: 'Mend the request. `index` and `path` say which item, and where in it.',
  },
  M_INVALID_PARAM: {
    statuses: [400, 414, 415],
    when: 'A field, a parameter or a header has a value that it cannot have, or is unknown. 414: a name in the path has over 255 characters. 415: the content type or a content coding is not taken.',
    todo: 'Mend the request: `error` names the field. A producer that meets this in an item must not repeat it: it would be refused for ever. Leave the item out, and look why it was made so.',
  },
  M_TOO_LARGE: {
    statuses: [413],
    when: 'The body has too many bytes, items or values, or a PDU has over 65,536 bytes.',
    todo: 'Send fewer items in one request. A PDU that is too large could not be delivered to anybody.',
  },
  M_MISSING_TOKEN: {
    statuses: [401],
    when: 'There is no `Authorization: Bearer TOKEN`.',
    todo: 'Send the header. The tokens are in the configuration (`tokens`), or in `tokens.yaml` under `data_dir`.',
  },
  M_UNKNOWN_TOKEN: {
    statuses: [401],
    when: 'The token is none of those that are configured.',
    todo: 'Compare it with the configuration. After a change of tokens: SIGHUP to each process.',
  },
  M_FORBIDDEN: {
    statuses: [403],
    when: 'The token is of another kind than this call needs.',
    todo: 'Use a token of a kind that `error` names.',
  },
  M_NOT_FOUND: {
    statuses: [404],
    when: 'There is no such server, room, event, source, block, or thing set aside.',
    todo: 'Look at the spelling. A server needs its port where it has one. An event that was purged, erased, or is older than `retention.events_ms` is not there any more, and `error` says so.',
  },
  M_UNRECOGNIZED: {
    statuses: [404, 405, 400, 408, 413, 417, 431],
    when: 'There is nothing at this path, or it does not take this method (405, with `Allow`), or the call comes in a later release. With the other statuses: what came is not HTTP as limpet takes it, or did not come in time.',
    todo: 'Look at the path and the method. On a listener whose `serve` does not name it, and in a process without the role `ingest`, a call is not there either.',
  },
  M_LIMIT_EXCEEDED: {
    statuses: [429],
    when: 'The database cannot keep up with what is fed. Nothing of the request was taken.',
    todo: 'Send the same request again after `retry_after_ms` (also in `Retry-After`).',
  },
  M_LIMPET_TOKEN_MISMATCH: {
    statuses: [409],
    when: '`if_source_token` is not what is stored. Nothing of the request was taken.',
    todo: 'Compare `source_token` of the answer with the token that the request was to store. The same: it was taken before, and its answer was lost; go on behind it. Another: go on from there.',
  },
  M_LIMPET_PAUSED: {
    statuses: [409],
    when: 'The destination is paused, so it cannot be tried now.',
    todo: '`limpet resume NAME` first.',
  },
  M_LIMPET_BLOCKED: {
    statuses: [409],
    when: 'Nothing is sent to the destination: an operator blocks it, or the configuration does.',
    todo: '`error` says what blocks it: `limpet unblock GLOB`, or the list of domains in the configuration.',
  },
  M_LIMPET_HELD: {
    statuses: [409],
    when: 'The destination asked for no requests before some time (`Retry-After`).',
    todo: 'Wait, or try all the same: `limpet reset NAME`.',
  },
  M_LIMPET_NOT_RESTORED: {
    statuses: [409],
    when: 'The source needs no order to go on: its database was not restored.',
    todo: 'Nothing. `limpet source NAME` says how it does.',
  },
  M_LIMPET_UNAVAILABLE: {
    statuses: [503],
    when: 'limpet is starting or stopping, its database is away, or its schema does not fit. After `POST /v1/ingest` the outcome is unknown.',
    todo: 'Try again. A request with `if_source_token` can be repeated without harm. Of one with `source_token` alone `GET /v1/ingest/position` says whether it was taken.',
  },
  M_UNKNOWN: {
    statuses: [500],
    when: 'A fault of limpet.',
    todo: "Look into limpet's log, and report it.",
  },
} as const satisfies Readonly<Record<string, ErrorCode>>

export type Errcode = keyof typeof ERROR_CODES
const CODES = Object.keys(ERROR_CODES) as [Errcode, ...Errcode[]]

export const errorAnswer = answer('Error', {
  errcode: z.enum(CODES),
  error: z.string().describe('What is wrong, for people.'),
  index: z.int().min(0).optional().describe('Of the item that is wrong, or of its line, from 0.'),
  path: z
    .string()
    .optional()
    .describe('Where in the item, dotted (`add.2`, `pdu.sender`); empty: the item itself.'),
  source_token: z.string().nullable().optional().describe('With `M_LIMPET_TOKEN_MISMATCH`: what is stored.'),
  retry_after_ms: z.int().min(0).optional().describe('With `M_LIMIT_EXCEEDED`.'),
})
