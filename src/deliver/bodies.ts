/**
 * One body for all who get the same events at the same time. It does not name its destination (`matrix/transaction.ts`),
 * so for a room with fifty servers in traffic it is put together once, and held once in memory.
 *
 * Always: the texts are compared, not only their positions: a redaction may have changed one meanwhile.
 */
import type { Clock } from '../clock.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { LoggedEvent } from '../store/log-tail.ts'

export interface Body {
  text: string
  /** Of its UTF-8. */
  bytes: number
  /** Milliseconds since the epoch. */
  originServerTs: number
}

/** What of an event decides over the body that holds it. */
export type BodyEvent = Pick<LoggedEvent, 'pos' | 'pdu'>

/** An `origin_server_ts` may be so much older than its transaction, ms. */
const MOST_AGE_MS = 50
const MOST_KEPT = 200

export function makeSharedBodies({
  origin,
  clock,
}: {
  origin: string
  clock: Clock
}): (events: readonly BodyEvent[]) => Body {
  const kept = new Map<string, { body: Body; pduTexts: readonly string[]; madeAt: number }>()

  return (events) => {
    const key = events.map(({ pos }) => pos).join()
    const pduTexts = events.map(({ pdu }) => pdu)
    const madeAt = clock.monotonic()
    const found = kept.get(key)
    const isFresh = found !== undefined && madeAt - found.madeAt <= MOST_AGE_MS
    if (isFresh && pduTexts.every((text, index) => text === found.pduTexts[index])) return found.body
    const originServerTs = clock.now()
    const text = assembleTransaction({ origin, originServerTs, pduTexts })
    const body = { text, bytes: Buffer.byteLength(text), originServerTs }
    if (kept.size >= MOST_KEPT) kept.clear()
    kept.set(key, { body, pduTexts, madeAt })
    return body
  }
}
