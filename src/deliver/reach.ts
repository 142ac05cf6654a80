/**
 * Gets a place, a connection and memory (`body-memory.ts`) before it is decided what to send.
 *
 * Always: what is planned, frozen or sent is so for a server that is there: nothing that was planned grows stale while it waits,
 * and a server that is not there costs a connection that fails and one write. A turn that waits long for a place gives way, so
 * that its lease is in no other turn's way.
 */
import type { Clock } from '../pace/clock.ts'
import { within } from '../pace/either-signal.ts'
import type { Leave } from '../pace/gate.ts'
import type { Part, PartGate } from '../pace/part-gate.ts'
import type { ServerName } from '../matrix/ids.ts'
import type { CountedAttempt } from '../observe/count-attempt.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import type { Held } from '../store/delivery/leases.ts'
import type { Ready, Remotes, SendFailed } from '../wire/send-result.ts'
import { countedOf, record, unknownPdu, type RecordNeeds } from './record.ts'
import type { Whereabouts } from './find.ts'
import { shareOf, wantedFor, type Bodies, type Bytes } from './body-memory.ts'
import type { Hurry, Impatience } from './impatience.ts'
import type { Lease } from './lease-keeper.ts'
import { judge } from './rules/outcome.ts'
import type { Together } from './together.ts'

export interface ReachNeeds extends RecordNeeds, Remotes, Pick<Together, 'load'> {
  clock: Clock
  /** Requests in flight, and connections that are made for one. */
  place: PartGate
  /** Of the places, those that may be in a dial; fewer, so that dead servers that let a dial hang never have every place. */
  dialling: PartGate
  bodies: Bodies
  /** Makes room in the three, where those that were quick hang. */
  impatience: Impatience
  maxBodyBytes: number
  onAttempt: (attempt: CountedAttempt) => void
  /** After this wait for a place the turn gives way, ms. */
  longestWaitMs?: number
}

/** A destination in the hands of this worker. */
export interface Holding {
  held: Held
  state: DestinationState
  lease: Lease
  /** Aborts when the lease is lost or the daemon can't wait any longer. */
  signal: AbortSignal
}

/** With a connection to it. */
export interface Connected extends Holding {
  /** What may be held for it. */
  bytes: Bytes
  /** Null: nobody may cut its request. */
  hurry: Hurry | null
}

export type Reached<T> =
  | { kind: 'done'; value: T }
  /** The connection failed, and that is stored; or the signal aborted. */
  | { kind: 'not reached' }
  /** No place came free in time. */
  | { kind: 'no place' }

const LONGEST_WAIT_MS = 5_000
/** A state older than this is read again, ms. */
const FRESH_MS = 50

/**
 * Waits for a place, a connection and bytes, then calls `then` with the state as it is by then. The value is null if by then nothing may
 * be sent to it (no longer held, paused, or not due): look again.
 */
export async function reach<T>(
  needs: ReachNeeds,
  holding: Holding,
  mayGo: (state: DestinationState) => boolean,
  then: (ready: Ready, connected: Connected) => Promise<T>,
): Promise<Reached<T | null>> {
  const { clock } = needs
  const asked = clock.monotonic()
  const places = await enter(needs, holding, asked)
  if (places === null) return { kind: holding.signal.aborted ? 'not reached' : 'no place' }
  try {
    const ready = await connectFor(needs, holding, asked).finally(places.dialled)
    if (ready === null) return { kind: 'not reached' }
    const wanted = wantedFor(holding.state, needs.maxBodyBytes)
    let bytes = needs.bodies.take(wanted)
    try {
      bytes ??= await needs.impatience.waits(needs.bodies.enter(wanted, holding.signal))
      if (bytes === null) return { kind: 'not reached' }
      const isFresh = ready.wasIdle && clock.monotonic() - asked < FRESH_MS
      const state = isFresh ? holding.state : await needs.load.add(holding.held)
      if (state?.held !== true || !mayGo(state)) return { kind: 'done', value: null }
      const hurry = holding.state.quick ? needs.impatience.hurry(bytes) : null
      return { kind: 'done', value: await then(ready, { ...holding, state, bytes, hurry }) }
    } finally {
      bytes?.end()
      ready.giveBack()
    }
  } finally {
    places.leave()
  }
}

interface Places {
  /** The dial has ended. */
  dialled: Leave
  leave: Leave
}

const NO_DIAL: Leave = () => undefined

/** First a place for the dial, where one is needed: a turn that waits for it takes no place from the others. */
async function enter(needs: ReachNeeds, { state, signal }: Holding, asked: number): Promise<Places | null> {
  const { place, dialling } = needs
  const asks = { part: shareOf(state), asked, signal }
  const isConnected = needs.isConnected(state.name as ServerName)
  const dialled = isConnected ? NO_DIAL : await enterOne(dialling, needs, asks)
  if (dialled === null) return null
  const leave = await enterOne(place, needs, asks)
  if (leave === null) dialled()
  return leave && { dialled, leave }
}

async function enterOne(
  gate: PartGate,
  { clock, impatience, longestWaitMs = LONGEST_WAIT_MS }: ReachNeeds,
  { part, asked, signal }: { part: Part; asked: number; signal: AbortSignal },
): Promise<Leave | null> {
  const free = gate.take(part)
  if (free !== null) return free
  const wait = within(signal, asked + longestWaitMs - clock.monotonic())
  const leave = await impatience.waits(gate.enter(part, wait.signal))
  wait.forget()
  return leave
}

/**
 * A connection; null where there is none, which is written down unless we were cut off. `askedAt`: when `state` was read, by the
 * monotonic clock.
 */
async function connectFor(
  needs: ReachNeeds,
  { held, state, lease, signal }: Holding,
  askedAt: number,
): Promise<Ready | null> {
  const destination = state.name as ServerName
  const startedAt = state.now + Math.round(needs.clock.monotonic() - askedAt)
  const reaching = { destination, stillHeld: lease.stillHeld, signal }
  const ready = await (state.quick ? needs.impatience.connect(needs, reaching) : needs.connect(reaching))
  if (ready.kind === 'ready') return ready
  if (ready.stage !== 'aborted') await noteUnreached(needs, { held, state }, ready, startedAt)
  return null
}

/** It is not known where it is, which is written down. `askedAt`: when `state` was read, or nearly, by the monotonic clock. */
export async function noteUnfound(
  needs: RecordNeeds & Pick<ReachNeeds, 'clock' | 'onAttempt'>,
  { held, state }: Holding,
  { stage, message, durationMs }: Extract<Whereabouts, { kind: 'failed' }>,
  askedAt: number,
): Promise<void> {
  const startedAt = state.now + Math.round(needs.clock.monotonic() - askedAt)
  const failed: SendFailed = {
    ...{ kind: 'failed', stage, message, durationMs, handed: false },
    ...{ status: null, errcode: null, retryAfterMs: null },
  }
  await noteUnreached(needs, { held, state }, failed, startedAt)
}

/** One write: it failed, and when it may be tried again. An unanswered transaction stays as it is. */
async function noteUnreached(
  needs: RecordNeeds & Pick<ReachNeeds, 'onAttempt'>,
  { held, state }: Pick<Holding, 'held' | 'state'>,
  failed: SendFailed,
  startedAt: number,
): Promise<void> {
  const { open, position } = state
  const nothing = { positions: [], lanes: '', eventIds: [], fromPos: position, toPos: position, sticky: [] }
  const acknowledges = { ...(open?.acknowledges ?? nothing), gap: null, gapCursor: null, closesGap: false }
  const judged = judge(failed, { ...acknowledges, firstAttempt: open === null })
  const attempt = {
    ...{ held, state, txnId: open?.txnId ?? null, acknowledges, startedAt, writtenMs: 0, connectMs: 0 },
    ...{ firstAttempt: open === null, afterTakeover: false, anySticky: false, apart: null, bytes: 0 },
  }
  const recorded = await record(needs, attempt, { result: failed, judged })
  if (recorded === null) return
  const pdus = Array.from(acknowledges.lanes, unknownPdu)
  needs.onAttempt(countedOf(recorded, startedAt, { pdus }))
}
