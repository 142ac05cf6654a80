/** The calls of the homeserver's side (contract, section 3). */
import { z } from 'zod'
import { ROOM_LIST_ORDERS } from '../store/ingest/read-back.ts'
import { empty, room, roomPage, placeOfSource, taken, unreachable } from './ingest-shapes.ts'
import { ingestRequest, item, serverUpRequest, sourceName } from './item-shapes.ts'
import type { Operation } from './operation.ts'
import { pageQuery } from './page-query.ts'

const MAY_FEED = ['ingest'] as const
const MAY_READ_BACK = ['ingest', 'read'] as const

export const PRODUCER_OPERATIONS: readonly Operation[] = [
  {
    ...{ method: 'POST', path: '/v1/ingest', name: 'ingest', group: 'Feeding', access: MAY_FEED },
    about: 'Takes items: all of them durably, or none.',
    more: 'As JSON, or as NDJSON with an item a line and `source`, `source_token` and `if_source_token` in the query string (an empty token there is null). At most 1,000 items and 16 MiB; an item is nested at most 200 levels deep and holds at most 65,536 values and 2 MiB.',
    query: {
      source: sourceName.optional().describe('With NDJSON only.'),
      source_token: z.string().max(1024).optional().describe('With NDJSON only.'),
      if_source_token: z.string().max(1024).optional().describe('With NDJSON only.'),
    },
    body: { required: true, json: ingestRequest, lines: item },
    answer: { status: 200, json: taken },
    refusals: [
      [400, 'M_INVALID_PARAM', 'An item, a field or a parameter is not valid: `index` and `path` say where.'],
      [409, 'M_LIMPET_TOKEN_MISMATCH', '`if_source_token` is not what is stored.'],
      [413, 'M_TOO_LARGE', 'Too many bytes, items or values, or a PDU over 65,536 bytes.'],
      [429, 'M_LIMIT_EXCEEDED', 'The database cannot keep up.'],
      [503, 'M_LIMPET_UNAVAILABLE', 'The outcome is unknown: ask for the position.'],
    ],
  },
  {
    ...{ method: 'POST', path: '/v1/ingest/server_up', name: 'serverUp', group: 'Feeding', access: MAY_FEED },
    about: 'Advice that servers answer again. Not durable.',
    body: { required: true, json: serverUpRequest },
    answer: { status: 202, json: empty },
    refusals: [
      [413, 'M_TOO_LARGE', 'Over 1,000 servers, or over 1 MiB.'],
      [429, 'M_LIMIT_EXCEEDED', 'The database cannot keep up.'],
    ],
  },
  {
    ...{ method: 'GET', path: '/v1/ingest/position', name: 'position', group: 'Reading back' },
    access: MAY_READ_BACK,
    about: "A source's own place: the token that it stored last.",
    query: { source: sourceName.optional() },
    answer: { status: 200, json: placeOfSource },
  },
  {
    ...{ method: 'GET', path: '/v1/ingest/unreachable', name: 'unreachable', group: 'Reading back' },
    access: MAY_READ_BACK,
    about: 'Which servers limpet fails to reach, and which are back.',
    query: {
      since: z
        .string()
        .optional()
        .describe('The token of the last answer. An unknown one is taken for none.'),
    },
    answer: { status: 200, json: unreachable },
  },
  {
    ...{ method: 'GET', path: '/v1/rooms', name: 'rooms', group: 'Reading back', access: MAY_READ_BACK },
    about: 'The rooms that ingest was told of, with digests of their servers.',
    query: pageQuery(ROOM_LIST_ORDERS),
    answer: { status: 200, json: roomPage },
  },
  {
    ...{
      method: 'GET',
      path: '/v1/rooms/{roomId}',
      name: 'room',
      group: 'Reading back',
      access: MAY_READ_BACK,
    },
    about: 'One room, with the names of its servers.',
    answer: { status: 200, json: room },
    refusals: [[404, 'M_NOT_FOUND', 'The room is not known.']],
  },
]
