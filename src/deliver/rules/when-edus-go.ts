/** When may a transaction of ephemeral EDUs alone go? Once a second, and presence alone waits for company. */
import { EPHEMERAL_WAITS } from '../../store/delivery/edus.ts'
import type { SortedLane } from './edu-lanes.ts'
import type { EdusToPlan, Prefix } from './edus-to-plan.ts'

/** Between two transactions of ephemeral EDUs alone, ms. */
export const EPHEMERAL_MS = EPHEMERAL_WAITS.alone
/** How long presence waits for company, ms. */
const COMPANY_MS = EPHEMERAL_WAITS.company

/** How long other things may keep out what could go, ms. */
const KEPT_OUT_MS = 10_000

/** What lies farther ahead than this is from a clock that has been set back since, and holds nothing up, ms. Followers know the time but nearly. */
const AHEAD_MS = 60_000

/** Null: nothing goes. */
export function notBeforeOf(
  { parts, cursor }: Prefix,
  lane: SortedLane,
  { now, lastEphemeralAt }: Pick<EdusToPlan, 'now' | 'lastEphemeralAt'>,
  alone: boolean,
): number | null {
  if (parts.length === 0) return null
  const next = lastEphemeralAt === null ? now : after(lastEphemeralAt, EPHEMERAL_MS, now)
  if (alone || parts.some(({ eduType }) => eduType !== 'm.presence')) return next
  // Since the first change: who changes all the time is not put off by each change.
  const since = lane.waitingSince(cursor)
  return Math.max(next, after(since, COMPANY_MS, now))
}

/** What came then has been kept out for long enough. */
export const hasWaited = (receivedTs: number, now: number): boolean =>
  after(receivedTs, KEPT_OUT_MS, now) <= now

const after = (at: number, ms: number, now: number): number =>
  at > now + AHEAD_MS ? now : Math.min(at, now) + ms
