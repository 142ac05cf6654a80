/** Events of about 1.25 KB as a homeserver hands them over, each with a number by which its arrival is known. */
import { makePdu } from '../../src/matrix/make-pdu.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'

export const OURS = 'home.example'

export interface BenchEvent {
  n: number
  /** The item as JSON. */
  item: string
  /** Its PDU as canonical JSON. */
  pdu: string
}

// Ids as long as real ones: 44 characters.
const someEventId = (seed: number) => `$${String(seed).padStart(43, 'A')}`
const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(8)

export function makeEvents(key: SigningKey): (room: string) => BenchEvent {
  let count = 0
  return (room) => {
    count += 1
    const n = count
    const { eventId, pdu, text } = makePdu(
      {
        roomId: room,
        type: 'm.room.message',
        sender: `@alice:${OURS}`,
        originServerTs: Date.now(),
        content: { msgtype: 'm.text', body: TEXT, n },
        depth: n,
        prevEvents: [someEventId(n)],
        authEvents: [1, 2, 3, 4].map(someEventId),
      },
      key,
      '10',
    )
    const item = { type: 'event', room_id: room, room_version: '10', event_id: eventId, pdu }
    return { n, item: JSON.stringify(item), pdu: text }
  }
}
