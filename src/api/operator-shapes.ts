/** What operators send, and what they are told of the whole, of events, sources, blocks and actions (contract, section 4). */
import { z } from 'zod'
import { OWN_TROUBLES, STATES } from '../observe/metrics.ts'
import { answer, count, eventId, page, position, request, roomId, server, time } from './shapes.ts'

const sourceFields = {
  name: z.string(),
  state: z.enum(['running', 'stalled', 'stopped']),
  position: z.int().nullable().describe('Our place in its stream, in its own numbering.'),
  behind: count.nullable().describe('How much of its stream is beyond that.'),
  since: time,
  last_error: z.strictObject({ message: z.string(), at: time }).nullable(),
}

export const status = answer('Status', {
  server_name: z.string(),
  version: z.string().describe("limpet's."),
  position: position.describe('The newest of the stream.'),
  destinations: z.strictObject(
    Object.fromEntries(STATES.map((state) => [state, count])) as Record<
      (typeof STATES)[number],
      typeof count
    >,
  ),
  pending_pdus: count,
  oldest_pending_ms: count.nullable(),
  sticky_pending: count,
  sent_per_second: z.number(),
  taken_per_second: z.number().nullable().describe('What came in; null: not counted twice yet.'),
  pending_change_per_second: z
    .number()
    .nullable()
    .describe('By how much the backlog grows, or (below 0) shrinks; null: not counted twice yet.'),
  empty_in_ms: count
    .nullable()
    .describe('When there is no backlog any more, at that pace; null: it does not shrink.'),
  as_of: time.nullable().describe('When backlog was counted. Milliseconds since the epoch; null: never yet.'),
  own_trouble: z.array(z.strictObject({ process: z.string(), kind: z.enum(OWN_TROUBLES), since: time })),
  sources: z.array(z.strictObject(sourceFields)),
})

export const source = answer('Source', {
  ...sourceFields,
  restored: z
    .strictObject({
      place: count.describe('Our place when it was noticed.'),
      head: count.describe('The end of its stream then.'),
      common: count
        .nullable()
        .describe('Up to here it has the same events as before; null: nothing is known.'),
    })
    .nullable()
    .describe("Where the homeserver's database was restored to an older state; else null."),
  continuing: z.boolean().describe('An operator has ordered it to go on.'),
})

const outcome = z.enum([
  ...(['delivered', 'acknowledged', 'pending', 'set_aside', 'held'] as const),
  ...(['skipped', 'given_up', 'lapsed', 'not_entitled'] as const),
])

export const explained = answer('Explained', {
  event_id: eventId.nullable().describe('null: it is a to-device message.'),
  message_id: z.string().optional().describe('Of a to-device message.'),
  room_id: roomId.nullable(),
  position,
  received: time,
  sticky_until: time.nullable(),
  destinations: z.array(
    z.strictObject({
      destination: server,
      outcome,
      as: z.enum(['timeline', 'catch_up', 'sticky_replay']).nullable(),
      txn_id: z.string().nullable(),
      at: time.nullable(),
      why: z.string().nullable(),
    }),
  ),
})

export const stickyPage = page(
  'StickyPage',
  'sticky',
  answer('StickyEvent', {
    event_id: eventId,
    room_id: roomId,
    sender: z.string(),
    position,
    expires_at: time,
    owed_to: z.array(server),
    delivered: count.describe('To how many it was delivered.'),
  }),
)

export const auditPage = page(
  'AuditPage',
  'audit',
  answer('Act', {
    at: time,
    who: z.string().describe('The name of the token.'),
    action: z.string(),
    target: z.string().describe('A destination, a source, or a glob.'),
    matched: count.nullable().describe('By a glob: to how many destinations it was done.'),
  }),
)

const blockFields = { glob: z.string(), reason: z.string().nullable() }
export const blocks = answer('Blocks', {
  blocks: z.array(
    z.strictObject({ ...blockFields, by: z.string().describe('The name of the token.'), at: time }),
  ),
})
export const concerned = answer('Concerned', {
  matched: count,
  names: z.array(server).describe('The first 100.'),
})
export const blockRequest = request('BlockRequest', {
  glob: z.string().min(1).max(255).describe('A name, or a pattern such as `*.example.org`.'),
  reason: z.string().max(500).nullable().optional(),
  drop: z.boolean().optional().describe('Also gives up what is owed to them now.'),
  dry_run: z.boolean().optional().describe('Only lists whom it concerns.'),
})

export const acted = answer('Acted', {
  blocked: z.string().optional().describe('It is done, and nothing is sent all the same: why.'),
})
export const skippedAnswer = answer('Skipped', {
  pending_pdus: count,
  pending_sticky: count,
  pending_edus: count,
  pending_capped: z.literal(true).optional().describe('There are more than that.'),
  blocked: z.string().optional(),
})
export const skipRequest = request('SkipRequest', {
  dry_run: z.boolean().optional().describe('Only counts.'),
})

export const actedOnMany = answer('ActedOnMany', {
  matched: count,
  names: z.array(server).describe('The first 100.'),
  blocked: count.describe('To so many nothing is sent all the same.'),
  left_out: z
    .strictObject({ blocked: count, paused: count, held: count })
    .describe('So many, by the reason for which a wake of one would be refused.'),
})
export const actionRequest = request('ActionRequest', {
  action: z.enum(['wake', 'pause', 'resume', 'reset', 'skip']),
  glob: z
    .string()
    .min(1)
    .meta({ examples: ['*.example.org'] }),
  dry_run: z.boolean().optional(),
})
