/**
 * The EDUs of a transaction, of parts as ingest has cut them.
 *
 * Presence and receipts are packed together, every other part is an EDU. The order on the wire: the others as they were put in, presence,
 * receipts of threads, receipts without a thread. A receiver that keeps one receipt of a user for each event keeps the last: it must be the one
 * without a thread (MSC4102).
 *
 * Always: the same parts in the same order and form give the same texts, in every process and at any time. A transaction is kept as
 * positions and made again after a crash, so what is here may change only under a new form.
 */
import { packPresence, readUpdate } from './presence.ts'
import { packReceipts, readReceipt } from './receipts.ts'
import { eduText, type EduPlace } from './wire.ts'

/** The form of new transactions. Every form that a kept transaction may have is known. */
export const EDU_FORM = 1

/** A newer release may have kept a transaction in one that is not. */
export const isKnownForm = (form: number): boolean => form === EDU_FORM

export interface EduToPack {
  readonly eduType: string
  /** Canonical JSON: of a receipt with one room, type and user, of presence with one update. */
  readonly content: string
  /** When it came, ms since the epoch. */
  readonly receivedTs: number
}

export interface EduCount {
  readonly edus: number
  /** Of all EDUs with the commas between them: at least what `texts` gives, and at most 16 more for each presence update. */
  readonly bytes: number
}

export interface EduPacking {
  /**
   * Puts `part` behind those that are there, if `fits` agrees to what there would be then; else nothing changes. Takes no longer the more
   * there is already.
   */
  join(part: EduToPack, fits?: (count: EduCount) => boolean): boolean
  count(): EduCount
  /** How many EDUs of each type there are. */
  types(): ReadonlyMap<string, number>
  /** Canonical JSON, a text an EDU, for a transaction of that `origin_server_ts` (ms). */
  texts(originServerTs: number): string[]
}

/**
 * Nothing yet, to be joined by parts in the order of their positions.
 * @throws RangeError for a form that this release does not know
 */
export function packEdus(form: number = EDU_FORM): EduPacking {
  if (!isKnownForm(form)) throw new RangeError(`EDUs of form ${form}: only ${EDU_FORM} is known`)
  const singles: string[] = []
  const presence = packPresence()
  const threaded = packReceipts()
  const unthreaded = packReceipts()
  const types = new Map<string, number>()
  let edus = 0
  let bytes = 0

  const placeOf = ({ eduType, content, receivedTs }: EduToPack): EduPlace => {
    const update = eduType === 'm.presence' ? readUpdate(content, receivedTs) : null
    if (update !== null) return presence.placeOf(update)
    const receipt = eduType === 'm.receipt' ? readReceipt(content) : null
    if (receipt !== null) return (receipt.threaded ? threaded : unthreaded).placeOf(receipt)
    const text = eduText(eduType, content)
    return { edus: 1, bytes: Buffer.byteLength(text), take: () => singles.push(text) }
  }
  const withPlace = (place: { edus: number; bytes: number }): EduCount => {
    const all = edus + place.edus
    return { edus: all, bytes: bytes + place.bytes + Math.max(0, all - 1) }
  }

  return {
    join(part, fits) {
      const place = placeOf(part)
      if (fits?.(withPlace(place)) === false) return false
      place.take()
      if (place.edus > 0) types.set(part.eduType, (types.get(part.eduType) ?? 0) + place.edus)
      edus += place.edus
      bytes += place.bytes
      return true
    },
    count: () => withPlace({ edus: 0, bytes: 0 }),
    types: () => types,
    texts: (originServerTs) => [
      ...singles,
      ...presence.texts(originServerTs),
      ...threaded.texts(),
      ...unthreaded.texts(),
    ],
  }
}
