/** Events of about 1.25 KB as a homeserver hands them over, each with a number by which its arrival is known. */
import { createHash } from 'node:crypto'
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
const someEventId = (seed: number) => `$${createHash('sha256').update(String(seed)).digest('base64url')}`
// Half words, half noise: what a database can compress of real events (ids, hashes and signatures it can't).
const someText = (seed: number) => {
  const noise = createHash('sha512').update(String(seed)).digest('base64')
  return `${'the quick brown fox jumps over the lazy dog '.repeat(7)}${noise} and ${noise.slice(9)}`
}

/** `stickyMs`: it is sticky for so long (MSC4354). */
export function makeEvents(key: SigningKey): (room: string, options?: { stickyMs?: number }) => BenchEvent {
  let count = 0
  return (room, { stickyMs } = {}) => {
    count += 1
    const n = count
    const { eventId, pdu, text } = makePdu(
      {
        roomId: room,
        type: 'm.room.message',
        sender: `@alice:${OURS}`,
        originServerTs: Date.now(),
        content: { msgtype: 'm.text', body: someText(n), n },
        depth: n,
        prevEvents: [n, n + 1].map(someEventId),
        authEvents: [1, 2, 3, 4].map((k) => someEventId(n - k)),
        ...(stickyMs === undefined ? {} : { more: { msc4354_sticky: { duration_ms: stickyMs } } }),
      },
      key,
      '10',
    )
    const item = { type: 'event', room_id: room, room_version: '10', event_id: eventId, pdu }
    return { n, item: JSON.stringify(item), pdu: text }
  }
}
