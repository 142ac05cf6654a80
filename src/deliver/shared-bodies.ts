/**
 * One body for all destinations that get the same events at the same time. It does not name its destination (`matrix/transaction.ts`),
 * so for a room with fifty servers in traffic it is put together once, and held once in memory.
 *
 * Always: the texts are compared, not only their positions: a redaction may have changed one meanwhile. And what no transaction can
 * share any more is forgotten, so that no more is held than a few bodies that are sent at this moment.
 */
import type { Clock } from '../pace/clock.ts'
import { EDU_FORM } from '../matrix/edus/pack.ts'
import { assembleTransaction } from '../matrix/transaction.ts'
import type { LoggedEvent } from '../store/delivery/log-tail.ts'
import { packedEdus, type PackedEdus } from './edu-texts.ts'
import type { StoredEdu } from '../store/delivery/edus.ts'

export interface Body {
  bytes: Buffer
  /** Milliseconds since the epoch. */
  originServerTs: number
  /** How many EDUs of each type it holds. */
  eduTypes: PackedEdus['types']
}

/** The fields of an event that determine the body. */
export type BodyEvent = Pick<LoggedEvent, 'pos' | 'pdu'>

/** Parts of EDUs in the order in which they are packed; what is at a position never changes. */
export type BodyEdu = Pick<StoredEdu, 'pos' | 'eduType' | 'content' | 'receivedTs'>

export type BodyOf = (events: readonly BodyEvent[], edus?: readonly BodyEdu[]) => Body

/** A shared body is reused for this long, ms. */
const MOST_AGE_MS = 50
const MOST_KEPT = 200
/** Of all that are kept together; the newest is kept in any case. */
const MOST_BYTES = 8_000_000

export function makeSharedBodies({ origin, clock }: { origin: string; clock: Clock }): BodyOf {
  // The oldest first.
  const kept = new Map<string, { body: Body; pduTexts: readonly string[]; madeAt: number }>()
  let keptBytes = 0

  return (events, edus = []) => {
    const key = keyOf(events, edus)
    const pduTexts = events.map(({ pdu }) => pdu)
    const madeAt = clock.monotonic()
    const found = kept.get(key)
    const isFresh = found !== undefined && madeAt - found.madeAt <= MOST_AGE_MS
    if (isFresh && pduTexts.every((text, index) => text === found.pduTexts[index])) return found.body
    const originServerTs = clock.now()
    const { texts: eduTexts, types: eduTypes } = packedEdus(EDU_FORM, edus, originServerTs)
    const bytes = Buffer.from(assembleTransaction({ origin, originServerTs, pduTexts, eduTexts }))
    const body = { bytes, originServerTs, eduTypes }
    forget(key)
    for (const [old, { madeAt: then }] of kept) {
      if (madeAt - then <= MOST_AGE_MS && kept.size < MOST_KEPT && keptBytes + bytes.length <= MOST_BYTES)
        break
      forget(old)
    }
    kept.set(key, { body, pduTexts, madeAt })
    keptBytes += bytes.length
    return body
  }

  function forget(key: string): void {
    keptBytes -= kept.get(key)?.body.bytes.length ?? 0
    kept.delete(key)
  }
}

const positionsOf = (them: readonly { pos: number }[]): string => them.map(({ pos }) => pos).join()

const keyOf = (events: readonly BodyEvent[], edus: readonly BodyEdu[]): string =>
  edus.length === 0 ? positionsOf(events) : `${positionsOf(events)} ${positionsOf(edus)}`
