/**
 * Looks at a held destination again and again, until there is nothing left to do or its turn is used up. Then it is let go, or handed to
 * its follower. It is let go only if no wish for another look has come since the last look.
 */
import { giveWay, type Held } from '../store/delivery/leases.ts'
import { BLOCKED } from './blocking.ts'
import type { Follow } from './follow/follow.ts'
import type { Lease } from './lease-keeper.ts'
import { look, type LookNeeds } from './look.ts'
import type { AllSettled } from './settled.ts'
import type { Together } from './together.ts'
import type { Turned } from './turned.ts'

export interface ServeNeeds extends LookNeeds, Pick<Together, 'letGo'> {
  /** Takes over destinations that will probably get more soon; null: following is off. */
  follow: Pick<Follow, 'has' | 'mayBegin' | 'begin' | 'woken'> | null
  /** Aborts when the daemon stops: the transaction under way may end, no other is begun. */
  stopping: AbortSignal
  /** False: this process gives back what it holds. Left out: always true. */
  mayGoOn?: () => boolean
}

/** A turn that has sent this many transactions gives way to others. */
const TRANSACTIONS_A_TURN = 50
const TURN_MS = 5_000

/** One that is blocked is due for nobody before every process has heard of that, ms. By then it is put aside. */
const HEARD_MS = 3_000

const DONE: Turned = { again: false }
const FOLLOWED: Turned = { again: false, followed: true }

const beginningOf = ({ position, durablePos, ephemeralPos }: AllSettled): number =>
  Math.min(position, durablePos, ephemeralPos)

/** Serves one that is held, until there is nothing to do or its turn is used up; then it lets go. */
export async function serve(
  needs: ServeNeeds,
  held: Held,
  lease: Lease,
  signal: AbortSignal,
): Promise<Turned> {
  const { pool, clock, stopping, follow } = needs
  let began: number | null = null
  for (let sent = 0; ;) {
    const state = await needs.load.add(held)
    if (state?.held !== true) return DONE
    // The time counts from the first connection, because waiting for a place is not the destination's use of it.
    const usedUp = sent >= TRANSACTIONS_A_TURN || (began !== null && clock.monotonic() - began > TURN_MS)
    const mayGoOn = needs.mayGoOn?.() !== false
    if (usedUp || !mayGoOn || stopping.aborted || signal.aborted) {
      const isBlocked = signal.aborted && signal.reason === BLOCKED
      const quick = await giveWay(pool, held, isBlocked ? state.now + HEARD_MS : state.now)
      return { again: usedUp && mayGoOn && quick !== null, quick: quick === true }
    }
    const looked = await look(needs, { held, state, lease, signal })
    if (looked.kind === 'give way') {
      const quick = await giveWay(pool, held, state.now)
      return { again: quick !== null, quick: quick === true }
    }
    if (looked.kind === 'sent') {
      sent += 1
      began ??= looked.connectedAt
    }
    if (looked.kind === 'look again') continue
    const { settled = null } = looked
    if (settled !== null && follow?.mayBegin(state, beginningOf(settled)) === true)
      if (await follow.begin({ held, state: { ...state, ...settled }, lease })) return FOLLOWED
    if (looked.kind !== 'let go') continue
    const { lookAt, position, deadlineAt = null, edus = null } = looked
    const { wakeSeq, head: readAt } = state
    if (await needs.letGo.add({ held, wakeSeq, lookAt, position, readAt, deadlineAt, edus })) return DONE
  }
}
