/** What a producer sends: the items, and the bodies of its requests (contract, section 3). */
import { z } from 'zod'
import { request, requestShapes } from './shapes.ts'

const roomId = z
  .string()
  .regex(/^!/)
  .meta({ examples: ['!room:example.org'] })
const eventId = z.string().regex(/^\$/)
const servers = z.array(z.string()).describe('Server names.')
const pdu = z.record(z.string(), z.unknown())

export const eventItem = request(
  'EventItem',
  {
    type: z.literal('event'),
    room_id: roomId,
    room_version: z.string().regex(/^[!-~]{1,32}$/),
    event_id: eventId.describe(
      "As the room version makes it of the PDU; checked against the PDU's reference hash.",
    ),
    pdu: pdu.describe(
      'In federation format, signed. At most 65,536 bytes of canonical JSON, `unsigned` left out.',
    ),
    also_to: servers
      .optional()
      .describe("Servers beyond the room's, such as that of a rescinded invite. Wins over `not_to`."),
    not_to: servers
      .optional()
      .describe('Servers of the room that do not get it, such as the one on whose behalf it is sent.'),
    to: servers
      .optional()
      .describe(
        'Exactly these servers, regardless of who is in the room. Cannot be combined with `also_to` or `not_to`.',
      ),
    sticky: z
      .boolean()
      .optional()
      .describe('false: an ordinary event, whatever the PDU says. Default: true.'),
  },
  'An event of ours. It goes to the servers in the room at this point of the stream, with `also_to` and without `not_to`; or to exactly `to`.',
)

export const serversItem = request(
  'ServersItem',
  {
    type: z.literal('servers'),
    room_id: roomId,
    add: servers.optional().describe('Joins. Applied before `remove`.'),
    remove: servers.optional(),
    set: servers.optional().describe('The whole list; not together with `add` or `remove`.'),
  },
  'Which remote servers are in a room from this point of the stream on. The event that ends a membership comes before it. One of `add`, `remove` and `set` is needed.',
)

export const redactItem = request(
  'RedactItem',
  {
    type: z.literal('redact'),
    event_id: eventId,
    pdu: pdu.describe('The redacted form of the event, with its signatures.'),
  },
  'What is sent of an event from now on is its redacted form, and it is sticky no more.',
)

export const purgeItem = request(
  'PurgeItem',
  { type: z.literal('purge'), room_id: roomId },
  'Nothing of this room is owed to anybody any more; its servers and sticky events are forgotten.',
)

export const eraseItem = request(
  'EraseItem',
  {
    type: z.literal('erase'),
    sender: z
      .string()
      .regex(/^@/)
      .optional()
      .describe('A user id: everything that is stored of this sender.'),
    event_ids: z.array(eventId).min(1).optional().describe('These events.'),
  },
  'What is stored of a sender, or of these events, is sent no more. Exactly one of the two.',
)

export const eduItem = request(
  'EduItem',
  {
    type: z.literal('edu'),
    edu_type: z.string().min(1),
    content: z.record(z.string(), z.unknown()).describe('At most 1 MiB.'),
    rooms: z.array(roomId).optional().describe('To the servers in these rooms at this point, once each.'),
    destinations: servers.optional().describe('To these servers. Exactly one of `rooms` and `destinations`.'),
    key: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Replaces, for each destination, an earlier one of the same type and key that is in no transaction yet. `m.receipt`, `m.presence` and `m.typing` make their own.',
      ),
    ttl_ms: z.int().min(1).max(31_536_000_000).optional().describe('For how long it is worth sending.'),
    durable: z.boolean().optional().describe('Whether it is kept until it is taken. Default: by its type.'),
  },
  'An EDU. Its content is cut into parts (a receipt, the presence of one user), each with a position.',
)

export const serverUpItem = request(
  'ServerUpItem',
  {
    type: z.literal('server_up'),
    server: z.string(),
  },
  'Advice that a server answers again. Not durable, and takes no position.',
)

export const item = z.discriminatedUnion('type', [
  ...([eventItem, serversItem, redactItem, purgeItem] as const),
  ...([eraseItem, eduItem, serverUpItem] as const),
])
requestShapes.add(item, { id: 'Item' })

export const sourceName = z
  .string()
  .regex(/^[a-z0-9_.-]{1,64}$/)
  .describe("The name of the producer's stream. Default: `default`.")
const token = z.string().min(1).max(1024)

export const ingestRequest = request('IngestRequest', {
  items: z.array(item).max(1000).describe('In the order of the stream. May be empty, to move a token.'),
  source: sourceName.optional(),
  source_token: token.nullable().optional().describe('Stored in the same commit as the items.'),
  if_source_token: token
    .nullable()
    .optional()
    .describe('Taken only if this is the stored token (null: none is); else 409.'),
})

export const serverUpRequest = request('ServerUpRequest', {
  servers: z.array(z.string()).max(1000).describe('Those that answer again.'),
})

export type IngestItem = z.input<typeof item>
