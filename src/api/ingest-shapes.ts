/** What a producer is answered (contract, section 3). */
import { z } from 'zod'
import { answer, count, page, position, roomId, server, time } from './shapes.ts'

export const taken = answer('Taken', {
  position: position.describe(
    'Of the last item; for an empty or wholly duplicate request that of the newest item there is.',
  ),
  accepted: count.describe('Items that were taken; with `duplicates` all that were sent.'),
  duplicates: count.describe('Events that were taken before.'),
  ignored: z
    .array(
      z.strictObject({
        index: count.describe('Of the item, or of its line, from 0.'),
        value: z.string().describe('The name or id that was left out.'),
      }),
    )
    .describe('What was left out without refusing its item.'),
  unknown_rooms: z
    .array(roomId)
    .describe('Rooms of which no `servers` item was ever taken: their events went to nobody.'),
})

export const empty = answer('Empty', {})

export const placeOfSource = answer('SourcePosition', {
  position: position.describe('Of the newest item there is.'),
  source_token: z.string().nullable().describe('What this source stored last; null: nothing.'),
})

export const unreachable = answer('Unreachable', {
  servers: z.array(
    z.strictObject({
      server,
      failing_since: time.nullable(),
      next_attempt: time.describe(
        'May be over: then its turn is about to come. Milliseconds since the epoch.',
      ),
    }),
  ),
  up: z.array(server).describe('Those that failed at the time of the token or since, and answer again.'),
  token: z.string().describe('For the next call.'),
})

const roomFields = {
  room_id: roomId,
  room_version: z.string().nullable().describe('null: no event of it has come yet.'),
  head: count.describe('Position of its newest event; 0: none.'),
  servers: count.describe('How many remote servers are in it.'),
  digest: z
    .string()
    .describe(
      'Unpadded base64 of SHA-256 over the names of the servers, sorted by code point and joined by newlines.',
    ),
}
export const roomSummary = answer('RoomSummary', roomFields)
export const roomPage = page('RoomPage', 'rooms', roomSummary)
export const room = answer('Room', { ...roomFields, names: z.array(server).describe('Sorted.') })
