/** What operators are told of destinations (contract, section 4). */
import { z } from 'zod'
import { STATES } from '../observe/metrics.ts'
import { answer, count, eventId, page, position, roomId, server, time } from './shapes.ts'

const ago = count.describe('Milliseconds.')
const state = z
  .enum(STATES)
  .describe('The first that holds: blocked, paused, dead, refused, backing_off, catching_up, sending, idle.')
const reason = z.string().describe('One sentence: why nothing goes out, or what goes next.')

export const destination = answer('Destination', {
  destination: server,
  state,
  reason,
  position: position.describe(
    'Up to here nothing of its timeline is owed any more, but for what a gap or a replay holds.',
  ),
  head: position.describe('The newest position of the stream.'),
  pending_pdus: count.describe(
    'In a list as of the last sweep (`as_of`); of one destination exact, up to 10,000.',
  ),
  pending_sticky: count,
  pending_edus: count.nullable().describe('Durable ones. null in a list: not counted.'),
  pending_edus_capped: z.literal(true).optional().describe('There may be more of them.'),
  pending_capped: z.literal(true).optional().describe('There are more PDUs than that.'),
  oldest_pending_ms: ago.nullable().describe('Age of the oldest PDU that waits, ms.'),
  in_flight: z
    .strictObject({ txn_id: z.string(), since: time.nullable(), attempt: count, process: z.string() })
    .nullable()
    .describe('The request that is under way.'),
  open_transaction: z
    .strictObject({
      txn_id: z.string(),
      created_at: time,
      attempt: count,
      pdus: count,
      edus: count.nullable(),
      void: z.boolean().describe('What is in it was taken away: it is planned anew at the next attempt.'),
    })
    .nullable()
    .describe('The transaction that is not answered yet.'),
  gap: z
    .strictObject({
      from: position,
      to: position,
      rooms_left: count.nullable().describe('null in a list.'),
    })
    .nullable()
    .describe('What a catch-up is sending.'),
  quarantined: count.describe('What is set aside, and rooms that are held.'),
  failing_since: time.nullable(),
  last_attempt: time.nullable(),
  next_attempt: time.nullable(),
  retry_interval_ms: ago.nullable(),
  last_error: z
    .strictObject({
      kind: z.string().nullable().describe("`internal`: the fault is limpet's, and its log says more."),
      status: count.nullable().describe('Of the HTTP answer, where there was one.'),
      message: z.string().nullable(),
      at: time.nullable(),
    })
    .nullable(),
  last_success: time.nullable(),
})

export const destinationPage = answer('DestinationPage', {
  destinations: z.array(destination),
  total: count,
  next_token: z.string().optional(),
  as_of: time.nullable().describe('When backlog was counted. Milliseconds since the epoch; null: never yet.'),
})

export const pendingRoomPage = page(
  'PendingRoomPage',
  'rooms',
  answer('PendingRoom', {
    room_id: roomId,
    pending_pdus: count,
    latest_position: position,
    pending_sticky: count,
  }),
)

export const attemptPage = page(
  'AttemptPage',
  'transactions',
  answer('Attempt', {
    txn_id: z.string().nullable().describe('null: it failed before anything was planned.'),
    at: time,
    duration_ms: count,
    pdus: count,
    edus: count,
    outcome: z
      .string()
      .describe('As in `limpet_transactions_total{outcome}`; docs/answers.md says what each means.'),
    status: count.nullable(),
    message: z.string().nullable(),
    pdu_errors: z.record(z.string(), z.string()).nullable().describe('`{event_id: error}` of the answer.'),
  }),
)

export const quarantineRow = answer('QuarantineRow', {
  id: z.string().describe('`pdu-POSITION`, `edu-POSITION` or `room-NUMBER`.'),
  kind: z.enum(['pdu', 'edu', 'room']),
  event_id: eventId.nullable(),
  room_id: roomId.nullable(),
  edu_type: z.string().nullable(),
  since: time,
  tries: count,
  next_try: time.nullable(),
  status: count.nullable(),
  message: z.string().nullable(),
})
export const quarantinePage = page('QuarantinePage', 'quarantine', quarantineRow)

const notBefore = time.nullable().describe('Milliseconds since the epoch; null: in its turn.')

export const preview = answer('Preview', {
  destination: server,
  state,
  reason,
  next_attempt: time.nullable().describe('When it would go at the earliest; null: in its turn.'),
  txn_id: z.string().nullable().describe('null: it gets one when it is frozen.'),
  attempts: count,
  catch_up_begins: z.boolean(),
  what: z.enum(['ordinary', 'question', 'half', 'set_aside']).nullable(),
  first: z
    .enum(['catch_up', 'room_goes_on', 'event_goes_last'])
    .nullable()
    .describe('This comes first, and what goes is then planned anew.'),
  search: z.strictObject({ pdus: count, parts: count, not_before: notBefore }).nullable(),
  edu_search: z.strictObject({ most: count, not_before: notBefore }).nullable(),
  origin_server_ts: time.nullable(),
  pdus: z.array(
    z.strictObject({
      event_id: eventId,
      room_id: roomId.nullable(),
      position,
      as: z.enum(['timeline', 'catch_up', 'sticky_replay']),
    }),
  ),
  edus: z
    .array(z.strictObject({ edu_type: z.string(), position }))
    .describe('Parts, in the order in which they are packed.'),
  body: z.string().nullable().describe('The exact text; null: nothing would go.'),
  bytes: count,
  set_aside: z.strictObject({ total: count, next: z.array(quarantineRow) }),
})

const cache = z
  .strictObject({
    state: z.enum(['asked', 'shared', 'fresh', 'stale']),
    age_ms: z.int(),
    left_ms: z.int(),
    failures: count,
  })
  .nullable()
const step = z.enum(['1', '2', '3', '3.1', '3.2', '3.3', '3.4', '3.5', '4', '5', '6'])

export const discovery = answer('Discovery', {
  destination: server,
  connects_to: z
    .array(z.strictObject({ address: z.string(), port: count, via_proxy: z.string().nullable() }))
    .describe('The first is tried first; empty where nothing would be connected to.'),
  step: step.nullable().describe('The step of the specification that found it.'),
  host_header: z.string().nullable(),
  certificate_name: z.string().nullable(),
  error: z.string().nullable(),
  blocked: z.string().nullable(),
  steps: z.array(
    z.strictObject({ step, asked: z.string().nullable(), outcome: z.string(), ms: z.number(), cache }),
  ),
  places: z.array(
    z.strictObject({
      host: z.string(),
      port: count,
      addresses: z.array(z.string()),
      refused: z.array(z.string()).describe('Why other addresses may not be connected to.'),
      cname: z.string().nullable(),
      error: z.string().nullable(),
      proxy: z.string().nullable(),
      ms: z.number(),
      cache,
    }),
  ),
})
