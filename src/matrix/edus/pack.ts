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
import { packPresence, readUpdate, type PresenceUpdate } from './presence.ts'
import { packReceipts, readReceipt, type Receipt } from './receipts.ts'
import { eduText, type EduPlace } from './wire.ts'

/** The form of new transactions. Every form that a kept transaction may have is known. */
export const EDU_FORM = 1

/** A newer release may have kept a transaction in one that is not. */
export const isKnownForm = (form: number): boolean => form === EDU_FORM

/** It never changes: what was read of it once holds for as long as it is there. */
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

/** What a part is to a packing: an update of presence, a receipt, or so many bytes as an EDU of its own. */
type PartRead =
  { readonly presence: PresenceUpdate } | { readonly receipt: Receipt } | { readonly bytes: number }

/** Every destination that is followed is given the same object, and asks of it when it is planned and when it is packed. */
const known = new WeakMap<EduToPack, PartRead>()

function readPart(part: EduToPack): PartRead {
  const before = known.get(part)
  if (before !== undefined) return before
  const read = readOnce(part)
  known.set(part, read)
  return read
}

function readOnce({ eduType, content, receivedTs }: EduToPack): PartRead {
  const presence = eduType === 'm.presence' ? readUpdate(content, receivedTs) : null
  if (presence !== null) return { presence }
  const receipt = eduType === 'm.receipt' ? readReceipt(content) : null
  if (receipt !== null) return { receipt }
  return { bytes: Buffer.byteLength(content) + Buffer.byteLength(eduText(eduType, '')) }
}

/**
 * Nothing yet, to be joined by parts in the order of their positions.
 * @throws RangeError for a form that this release does not know
 */
export function packEdus(form: number = EDU_FORM): EduPacking {
  if (!isKnownForm(form)) throw new RangeError(`EDUs of form ${form}: only ${EDU_FORM} is known`)
  const singles: EduToPack[] = []
  const presence = packPresence()
  const threaded = packReceipts()
  const unthreaded = packReceipts()
  const types = new Map<string, number>()
  let edus = 0
  let bytes = 0

  const placeOf = (part: EduToPack): EduPlace => {
    const read = readPart(part)
    if ('presence' in read) return presence.placeOf(read.presence)
    if ('receipt' in read) return (read.receipt.threaded ? threaded : unthreaded).placeOf(read.receipt)
    return { edus: 1, bytes: read.bytes, take: () => singles.push(part) }
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
      ...singles.map(({ eduType, content }) => eduText(eduType, content)),
      ...presence.texts(originServerTs),
      ...threaded.texts(),
      ...unthreaded.texts(),
    ],
  }
}
