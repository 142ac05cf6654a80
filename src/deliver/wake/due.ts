/**
 * Brings back the destinations that have a time to be looked at: the end of a backoff, a wish, an unlisted sticky event; and
 * serves those that the queue has lost. What a turn that broke off has left behind is given back first. No more than so many a second
 * are brought back (`ramp.ts`).
 *
 * Runs in every process that delivers. Times are rows, so neither a restart nor a lost queue forgets one.
 */
import type { Clock } from '../../pace/clock.ts'
import type { ServerName } from '../../matrix/ids.ts'
import { makeFaultNotes } from '../../observe/fault-notes.ts'
import type { Log } from '../../observe/log.ts'
import type { Pool } from '../../store/db.ts'
import { findForgotten, lookForDue, putAside, type DueSleeper } from '../../store/delivery/wake-lists.ts'
import { bringBack } from '../../store/delivery/blocks.ts'
import { readNames } from '../../store/views/blocked-ids.ts'
import type { Blocking } from '../blocking.ts'
import type { Wake } from './fanout.ts'
import type { ServeTurn } from '../turned.ts'
import { makeRamp } from './ramp.ts'
import { makeWoken } from './woken.ts'

export interface DueNeeds {
  pool: Pool
  wake: Wake
  turn: ServeTurn
  /** To whom nothing is sent, as of now. */
  blocking: Pick<Blocking, 'now'>
  /** Carries out what operators planned for many, and is due: called where something is. */
  carryOut: () => Promise<void>
  /** Gives back what turns that broke off have left behind. */
  releaseAbandoned: () => Promise<void>
  /** Removes what the queue still believes of a destination that it has lost. */
  forget: (destination: string) => Promise<void>
  clock: Clock
  /** How often it looks, ms. */
  everyMs: number
  /** Most of them that wait in the queue at once. */
  waiting: number
  /** Most of them that are woken in a second. */
  rampPerSecond: number
  /** One that waits there for longer than this, ms, and that two sweeps have missed, has been lost by the queue. */
  patienceMs: number
  /** Ends what is served directly at once; the signal of the round only has nothing new begun. */
  cutting: AbortSignal
  /** False: nobody is brought back for now. Left out: always true. */
  mayWake?: () => boolean
  log: Log
}

const AT_ONCE = 32

export function makeDue(needs: DueNeeds): (signal: AbortSignal) => Promise<void> {
  const woken = makeWoken(needs.clock)
  const serving = new Set<string>()
  const faults = makeFaultNotes(needs.log)

  /** As it was when everybody that it does not block was brought back. */
  let list = needs.blocking.now()

  const ramp = makeRamp(needs.clock, () => needs.rampPerSecond)

  /**
   * Who was let through, for which time that had come, and since when (monotonic). Two sweeps also miss those of which thousands are
   * before them: these are not lost.
   */
  let inTurn = new Map<string, { why: number | null; at: number }>()

  /** Something is due that operators planned. */
  let act = false

  async function carryOut(): Promise<void> {
    if (act) await needs.carryOut()
    act = false
  }

  /** Nobody is brought back, and what operators want is carried out all the same. */
  async function lookForActs(): Promise<void> {
    act ||= (await lookForDue(needs.pool, 1)).act
  }

  async function wakeDue(): Promise<void> {
    // The queue is first come, first served; in what order they come is decided here, so few of them wait there.
    const mayGo = letThrough(await findAllowed())
    const due = mayGo.filter(({ name, since }) => !woken.has(name, since))
    if (due.length === 0) return
    await needs.wake(due)
    for (const { name, since } of due) woken.note(name, since)
  }

  /** Nobody takes the others: they would be found again at each look, and those behind them never. */
  async function findAllowed(): Promise<DueSleeper[]> {
    for (;;) {
      const { due: found, act: isDue } = await lookForDue(needs.pool, needs.waiting)
      act ||= isDue
      const isBlocked = ({ name }: DueSleeper) => needs.blocking.now()(name as ServerName) !== null
      const blocked = found.filter(isBlocked).map(({ name }) => name)
      // None put aside: somebody else has their rows at this moment.
      if (blocked.length === 0 || (await putAside(needs.pool, blocked)) === 0)
        return found.filter((one) => !isBlocked(one))
    }
  }

  /**
   * Those that are blocked no more. Each process does it once it has heard of that: until then it puts them aside, and passes over
   * what wakes them. So the last that hears of it brings them back for good. It is done here because nothing of this process is put aside meanwhile.
   */
  async function bringBackAllowed(): Promise<void> {
    const now = needs.blocking.now()
    if (now === list) return
    const before = list
    const wereBlocked = before.blocksNobody?.() !== true
    const names = wereBlocked
      ? await readNames(needs.pool, (name) => before(name) !== null && now(name) === null)
      : []
    if (names.length > 0) await bringBack(needs.pool, names)
    list = now
  }

  /** Those of `found` whose turn it is, the first first. Who was let through already is not counted once more. */
  function letThrough(found: readonly DueSleeper[]): DueSleeper[] {
    const at = needs.clock.monotonic()
    const room = ramp.room()
    const before = inTurn
    let count = 0
    inTurn = new Map()
    const mayGo = found.filter(({ name, since: why }) => {
      const last = before.get(name)
      const again = last?.why === why
      if (!again && count >= room) return false
      if (!again) count += 1
      inTurn.set(name, { why, at: last?.at ?? at })
      return true
    })
    ramp.note(count)
    return mayGo
  }

  async function serveForgotten(signal: AbortSignal): Promise<void> {
    if (serving.size >= AT_ONCE) return
    for (const name of await findForgotten(needs.pool, AT_ONCE - serving.size)) {
      const turn = inTurn.get(name)
      if (serving.has(name) || turn === undefined) continue
      if (needs.clock.monotonic() - turn.at < needs.patienceMs) continue
      needs.log.warn({ destination: name }, 'two sweeps found this destination unserved: serving it directly')
      await needs.forget(name).catch(() => undefined)
      start(name, signal)
    }
  }

  function start(name: string, signal: AbortSignal): void {
    serving.add(name)
    void serve(name, signal).finally(() => serving.delete(name))
  }

  async function serve(name: string, signal: AbortSignal): Promise<void> {
    try {
      while ((await needs.turn(name, needs.cutting)).again && !signal.aborted);
    } catch (error) {
      needs.log.error({ err: error, destination: name }, 'a turn failed')
    }
  }

  const stopped = (signal: AbortSignal) => signal.aborted

  return async (signal) => {
    while (!signal.aborted) {
      await needs.clock.sleep(needs.everyMs, signal)
      if (stopped(signal)) break
      await faults.note('giving back what turns have left behind', needs.releaseAbandoned)
      // What the last look found to be due.
      await faults.note('carrying out what operators planned', carryOut)
      // Each by itself: without a queue no turn can be woken, and those are served directly.
      await faults.note('bringing back those that are blocked no more', bringBackAllowed)
      if (needs.mayWake?.() === false) {
        await faults.note('looking for what operators planned', lookForActs)
        continue
      }
      await faults.note('waking due destinations', wakeDue)
      await faults.note('serving those that the queue has lost', () => serveForgotten(signal))
    }
    while (serving.size > 0) await needs.clock.sleep(20)
  }
}
