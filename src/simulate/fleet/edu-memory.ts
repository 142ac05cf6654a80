/**
 * What one receiving homeserver remembers of the EDUs that it took, for tests and a verdict.
 *
 * To-device messages and device list updates are kept in the order of their first arrival; of everything else the
 * newest of each key. Counts are exact for ever; of the rest the oldest is forgotten, and counted, so that a server may
 * run for days.
 */
import { domainOf } from '../../matrix/ids.ts'
import { makeBoundedMap } from './bounded.ts'
import { makeDeviceChains } from './device-chains.ts'
import type { ChainLink } from './device-chains.ts'
import { keyOfPart } from './edu-parts.ts'
import type { DeviceListPart, SeenEduPart, PresencePart, ReceiptPart } from './edu-parts.ts'
import type { SigningKeysPart, ToDevicePart, TypingPart } from './edu-parts.ts'

export interface EduCarrier {
  readonly txnId: string
  /** When its request arrived, ms since the epoch. */
  readonly at: number
  /** Its `origin_server_ts`. */
  readonly originServerTs: number
}

export interface Arrived<P> extends EduCarrier {
  readonly part: P
  /** Counts the parts that this server took, from 0. */
  readonly order: number
}

export interface RepeatedMessage {
  readonly sender: string
  readonly messageId: string
  /** The transaction that brought it first, and this one; the same one where it held the message twice. */
  readonly firstTxnId: string
  readonly txnId: string
  readonly at: number
}

export interface KeptEdus {
  /** EDUs taken, by type. */
  readonly counts: ReadonlyMap<string, number>
  /** First arrivals in their order, by `keyOfPart`: "message_id … used for idempotence", a sender's own. */
  readonly toDevice: ReadonlyMap<string, Arrived<ToDevicePart>>
  /** To-device messages that came again; in a repeated transaction nothing does. */
  readonly repeats: readonly RepeatedMessage[]
  /** In the order of their arrival, by `keyOfPart`; one that came again is in its first place. */
  readonly deviceLists: ReadonlyMap<string, Arrived<DeviceListPart> & { readonly link: ChainLink }>
  /** Device list updates after which a receiver would have asked for the whole list. */
  readonly resyncs: number
  /** The newest of each room and user. */
  readonly typing: ReadonlyMap<string, Arrived<TypingPart>>
  /** The newest of each room, type, user and thread. `order` says what came after what, within a transaction too. */
  readonly receipts: ReadonlyMap<string, Arrived<ReceiptPart>>
  /** Receipts of a thread that came behind the unthreaded one of their user in the same transaction: receivers keep the last (MSC4102). */
  readonly threadedLate: number
  /** The newest of each user. */
  readonly presence: ReadonlyMap<string, Arrived<PresencePart>>
  /** The newest of each type and user. */
  readonly signingKeys: ReadonlyMap<string, Arrived<SigningKeysPart>>
  /** What speaks of a room that this server is not in, or is for another server's users; in words. */
  readonly notEntitled: readonly string[]
  /** What was dropped from these lists to keep them short; where it is 0 they are whole. */
  readonly forgotten: number
}

/** An EDU, and `partsOf` it. */
export interface EduByParts {
  readonly type: string | null
  readonly parts: readonly SeenEduPart[]
}

export interface EduMemory extends KeptEdus {
  /** Writes down what of these this server is not entitled to. For each transaction once, taken or not. */
  look(edus: readonly EduByParts[], txnId: string): void
  /** Takes the EDUs of a transaction that is processed for the first time. */
  take(edus: readonly EduByParts[], carrier: EduCarrier): void
}

export interface EduMemoryOptions {
  /** Our own name: to-device messages are for our users. */
  readonly destination: string
  /** Whether this server is, or was, in a room. Default: it is in all. */
  readonly inRoom?: (roomId: string) => boolean
  /** Entries of each list. Default 20,000. */
  readonly most?: number
}

const MOST_KEPT = 20_000
const MOST_NOTES = 1000
/** Types are the sender's to choose: those beyond this count together. */
const MOST_TYPES = 100
const OTHER_TYPES = '(others)'

export function makeEduMemory(options: EduMemoryOptions): EduMemory {
  const { destination, inRoom = () => true, most = MOST_KEPT } = options
  const counts = new Map<string, number>()
  const toDevice = makeBoundedMap<Arrived<ToDevicePart>>(most)
  const deviceLists = makeBoundedMap<Arrived<DeviceListPart> & { link: ChainLink }>(most)
  const typing = makeBoundedMap<Arrived<TypingPart>>(most)
  const receipts = makeBoundedMap<Arrived<ReceiptPart>>(most)
  const presence = makeBoundedMap<Arrived<PresencePart>>(most)
  const signingKeys = makeBoundedMap<Arrived<SigningKeysPart>>(most)
  const lists = [toDevice, deviceLists, typing, receipts, presence, signingKeys]
  const linkOf = makeDeviceChains()
  const repeats: RepeatedMessage[] = []
  const notEntitled: string[] = []
  let resyncs = 0
  let threadedLate = 0
  let order = 0

  function count(type: string | null): void {
    const known = type ?? '(none)'
    const name = counts.has(known) || counts.size < MOST_TYPES ? known : OTHER_TYPES
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }

  function keep(part: SeenEduPart, carrier: EduCarrier, unthreaded: Set<string>): void {
    const key = keyOfPart(part)
    const arrived = { ...carrier, order }
    order += 1
    if (part.kind === 'typing') typing.set(key, { ...arrived, part })
    else if (part.kind === 'presence') presence.set(key, { ...arrived, part })
    else if (part.kind === 'signing keys') signingKeys.set(key, { ...arrived, part })
    else if (part.kind === 'receipt') {
      const whose = keyOfPart({ ...part, threadId: null })
      if (part.threadId === null) unthreaded.add(whose)
      else if (unthreaded.has(whose)) threadedLate += 1
      receipts.set(key, { ...arrived, part })
    } else if (part.kind === 'device list') {
      const link = linkOf(part)
      if (link === 'broken') resyncs += 1
      if (!deviceLists.kept.has(key)) deviceLists.set(key, { ...arrived, part, link })
    } else if (part.kind === 'to-device') {
      const first = toDevice.kept.get(key)
      if (first === undefined) toDevice.set(key, { ...arrived, part })
      else noteRepeat(part, first.txnId, carrier)
    }
  }

  function noteRepeat({ sender, messageId }: ToDevicePart, firstTxnId: string, carrier: EduCarrier): void {
    const { txnId, at } = carrier
    if (repeats.length < MOST_NOTES) repeats.push({ sender, messageId, firstTxnId, txnId, at })
  }

  /** Why this server should not have got it; null: it may. */
  function stranger(part: SeenEduPart): string | null {
    if ('roomId' in part && !inRoom(part.roomId)) return `tells of ${part.roomId}`
    if (part.kind !== 'to-device') return null
    const other = part.userIds.find((user) => domainOf(user) !== destination)
    return other === undefined ? null : `is for ${other}`
  }

  return {
    ...{ counts, repeats, notEntitled },
    toDevice: toDevice.kept,
    deviceLists: deviceLists.kept,
    typing: typing.kept,
    receipts: receipts.kept,
    presence: presence.kept,
    signingKeys: signingKeys.kept,
    get resyncs() {
      return resyncs
    },
    get threadedLate() {
      return threadedLate
    },
    get forgotten() {
      return lists.reduce((sum, list) => sum + list.forgotten, 0)
    },
    look(edus, txnId) {
      for (const [index, edu] of edus.entries())
        for (const part of edu.parts) {
          const why = stranger(part)
          if (why !== null && notEntitled.length < MOST_NOTES)
            notEntitled.push(`EDU ${index} (${edu.type ?? 'no type'}) of transaction ${txnId} ${why}`)
        }
    },
    take(edus, carrier) {
      const unthreaded = new Set<string>()
      for (const edu of edus) {
        count(edu.type)
        for (const part of edu.parts) keep(part, carrier, unthreaded)
      }
    },
  }
}
