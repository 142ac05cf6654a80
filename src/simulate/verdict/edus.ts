/**
 * Did each server get the EDUs that are its own, and no others? The promises of contract 3 and 5.10, held against what
 * was told and what a server remembers.
 *
 * To-device messages: each once, in stream order. Device list updates: all in order, or so many left out in a row that
 * the last alone may go, which makes the receiver ask for the list. Of everything else the newest of each key, and
 * nothing after its time.
 */
import type { Arrived, KeptEdus } from '../fleet/edu-memory.ts'
import { keyOfPart, nameOfPart } from '../fleet/edu-parts.ts'
import type { SeenEduPart } from '../fleet/edu-parts.ts'
import { newestByKey, newestByName } from './edu-claims.ts'
import type { EduClaim, EduClaims } from './edu-claims.ts'

export interface HeardEdus {
  readonly serverName: string
  readonly edus: KeptEdus
}

export interface EduRules {
  /** Servers that were away, or slow, for so long that what is not durable may be gone. */
  readonly lossy: ReadonlySet<string>
  /** Servers that were dead from beginning to end. */
  readonly dead: ReadonlySet<string>
  /** To-device messages that were set aside (contract 5.9), by `message_id`: they may come late, or not. */
  readonly setAside?: ReadonlySet<string>
  /** Whether a to-device message may come under two transaction ids: a transaction was ended unanswered (contract 5.2). */
  readonly mayRepeat?: boolean
}

export interface EduVerdict {
  readonly server: string
  /** Durable parts that it is owed, and those of them that came or were rightly left out. */
  readonly owed: number
  readonly received: number
  readonly leftOut: number
  /** Durable parts that are still owed to a dead server. */
  readonly pending: number
  readonly missing: readonly string[]
  readonly notEntitled: readonly string[]
  /** Keys of which it does not have the newest, though it should: who is "typing" for ever, for one. */
  readonly stale: readonly string[]
  /** To-device messages that came under another transaction id again. */
  readonly repeats: number
  /** Device list updates after which it would have asked for the whole list. */
  readonly resyncs: number
  readonly faults: readonly string[]
}

/** More pending device list updates of one user than this collapse to the last. */
const COLLAPSE = 20

export function judgeEdus(claims: EduClaims, heard: HeardEdus, rules: EduRules): EduVerdict {
  const { serverName: server, edus } = heard
  const own = claims.of(server)
  const dead = rules.dead.has(server)
  const streams = own.filter(({ part }) => part.kind === 'to-device' || part.kind === 'device list')
  const arrived = new Map<string, Arrived<SeenEduPart>>([...edus.toDevice, ...edus.deviceLists])
  const came = ({ part }: EduClaim) => arrived.has(keyOfPart(part))
  const leftOut = collapsed(streams, came)
  const isAside = ({ part }: EduClaim) =>
    part.kind === 'to-device' && rules.setAside?.has(part.messageId) === true
  const gone = streams.filter((claim) => !came(claim) && !leftOut.has(claim))
  // What it has forgotten may have come.
  const missing = dead || edus.forgotten > 0 ? [] : gone.filter((claim) => !isAside(claim))
  const newest = newestOf(edus)
  const stale = dead || edus.forgotten > 0 ? [] : staleKeys(own, newest, rules.lossy.has(server))
  const again = edus.repeats.filter(({ firstTxnId, txnId }) => firstTxnId !== txnId)
  const twice =
    rules.mayRepeat === true
      ? edus.repeats.filter(({ firstTxnId, txnId }) => firstTxnId === txnId)
      : edus.repeats
  return {
    server,
    owed: streams.length,
    received: streams.filter(came).length,
    leftOut: leftOut.size,
    pending: dead ? gone.length : 0,
    missing: missing.map(({ part }) => nameOfPart(part)),
    notEntitled: [...edus.notEntitled, ...strangers(own, [...arrived.values(), ...newest.values()])],
    stale,
    repeats: again.length,
    resyncs: edus.resyncs,
    faults: [
      ...checkStreams(
        streams.filter((claim) => !isAside(claim)),
        arrived,
      ),
      ...checkTimes(own, newest),
      ...twice.map(
        ({ sender, messageId, txnId }) =>
          `message ${messageId} of ${sender} came again in transaction ${txnId}`,
      ),
      ...(edus.threadedLate > 0
        ? [`${edus.threadedLate} receipts of threads came behind the unthreaded one`]
        : []),
    ],
  }
}

/** The newest of each key that has one, as it came. */
function newestOf({ typing, receipts, presence, signingKeys }: KeptEdus): Map<string, Arrived<SeenEduPart>> {
  return new Map<string, Arrived<SeenEduPart>>([...typing, ...receipts, ...presence, ...signingKeys])
}

/** Device list updates that did not come, more than 20 of one user in a row with the last that did. */
export function collapsed(streams: readonly EduClaim[], came: (claim: EduClaim) => boolean): Set<EduClaim> {
  const waiting = new Map<string, EduClaim[]>()
  const all = new Set<EduClaim>()
  for (const claim of streams) {
    if (claim.part.kind !== 'device list') continue
    const before = waiting.get(claim.part.userId) ?? []
    if (!came(claim)) {
      waiting.set(claim.part.userId, [...before, claim])
      continue
    }
    if (before.length >= COLLAPSE) for (const one of before) all.add(one)
    waiting.delete(claim.part.userId)
  }
  return all
}

function checkStreams(
  streams: readonly EduClaim[],
  arrived: ReadonlyMap<string, Arrived<SeenEduPart>>,
): string[] {
  const faults: string[] = []
  let last = -1
  for (const { part } of streams) {
    const here = arrived.get(keyOfPart(part))
    if (here === undefined) continue
    if (here.order < last) faults.push(`${nameOfPart(part)} came out of stream order`)
    last = Math.max(last, here.order)
  }
  return faults
}

function staleKeys(
  own: readonly EduClaim[],
  newest: ReadonlyMap<string, Arrived<SeenEduPart>>,
  lossy: boolean,
): string[] {
  const wanted = [...newestByKey(own)].filter(([, { part, until }]) => {
    return isKeyed(part) && !(lossy && until !== null)
  })
  return wanted.flatMap(([key, { part }]) => {
    const here = newest.get(key)
    return here !== undefined && nameOfPart(here.part) === nameOfPart(part) ? [] : [nameOfPart(part)]
  })
}

const isKeyed = ({ kind }: SeenEduPart) => ['typing', 'receipt', 'presence', 'signing keys'].includes(kind)

function strangers(own: readonly EduClaim[], came: readonly Arrived<SeenEduPart>[]): string[] {
  const known = newestByName(own)
  return came.map(({ part }) => nameOfPart(part)).filter((name) => !known.has(name))
}

function checkTimes(own: readonly EduClaim[], newest: ReadonlyMap<string, Arrived<SeenEduPart>>): string[] {
  const known = newestByName(own)
  return [...newest.values()].flatMap(({ part, originServerTs, txnId }) => {
    const until = known.get(nameOfPart(part))?.until ?? null
    if (until === null || originServerTs < until) return []
    return [`${nameOfPart(part)} was put into transaction ${txnId} after its time`]
  })
}
