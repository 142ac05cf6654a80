/**
 * Contract 5.8 of sticky events that would lapse while their destination fails: when may an attempt come before its time, and by when must
 * one? As plainly as it can be said, so a few seconds are left open: what a process knows is a little older than what the model knows.
 */
import { SETTINGS, type View } from './driver.ts'
import type { History } from './history.ts'

const HOUR = 3_600_000
const SLACK = 15_000
const { deadline_retry_min_ms: APART, long_outage_ms: LONG } = SETTINGS.deadline

/** Something sticky that may be owed. */
export interface Lapsing {
  pos: number
  since: number
  lapsesAt: number
  /** It is, for certain, and comes with the timeline. */
  certain: boolean
}

/** What is known of the failures since the last answer. */
export interface Failing {
  /** The earliest that the first of them can have been, and the latest. */
  earliest: number | null
  latest: number | null
  /** When the last attempt ended. */
  ended: number
  /** Those that came before their time; `forSticky`: for something sticky, for certain. */
  tries: readonly { at: number; forSticky: boolean }[]
}

/** Everything sticky that may be owed now, the first to lapse first. */
export function lapsingIn(history: History, { now, position }: View, latest: number): Lapsing[] {
  return history
    .all()
    .flatMap((event): Lapsing[] => {
      const { pos, stickyUntil, told, receivedAt, entitled } = event
      if (stickyUntil === null || !history.isSticky(event, now) || !history.inRoomNow(event.room)) return []
      const join = history.joinAfter(event, Infinity)
      if (told.some((one) => one.listed && (join === null || one.writtenAt >= join.from))) return []
      const certain =
        entitled &&
        join === null &&
        told.length === 0 &&
        pos > position &&
        history.isCertainlySticky(event, latest)
      return [{ pos, since: receivedAt, lapsesAt: stickyUntil, certain }]
    })
    .sort((a, b) => a.lapsesAt - b.lapsesAt)
}

const lately = ({ tries }: Failing, after: number) => tries.filter(({ at }) => at > after)

/** Why an attempt must not come before its time; null: it may. */
export function whyNotNow(failing: Failing, lapsing: readonly Lapsing[], now: number): string | null {
  if (failing.latest !== null && now - failing.latest >= LONG) return 'it has failed for long'
  if (now < failing.ended + APART - SLACK) return `${now - failing.ended} ms after the attempt before`
  const certain = lately(failing, now - HOUR + SLACK).filter(({ forSticky }) => forSticky)
  if (certain.length >= 8) return 'a ninth time within an hour'
  const is = lapsing.some(
    ({ since, lapsesAt }) =>
      now < lapsesAt && (since > failing.ended - SLACK || now >= since + Math.floor((lapsesAt - since) / 2)),
  )
  return is ? null : 'nothing sticky asks for it'
}

/** The latest at which somebody must look, for what was known at the position `upto`; null: nothing is said. */
export function lookBy(
  failing: Failing,
  lapsing: readonly Lapsing[],
  { now, upto }: { now: number; upto: number },
): number | null {
  const [first, ...others] = lapsing
  const { earliest, latest, ended } = failing
  if (first === undefined || !first.certain || first.pos > upto || earliest === null || latest === null)
    return null
  const moment = (from: number) => from + (15 / 16) * (first.lapsesAt - from)
  if (lately(failing, now - HOUR - SLACK).length >= 8) return null
  const by = Math.max(moment(Math.max(first.since, latest)), ended + APART, now) + SLACK
  // What can't be helped any more hides nothing that lapses later.
  if (ended >= moment(first.since) || by >= first.lapsesAt)
    return lookBy(failing, others, { now: Math.max(now, first.lapsesAt), upto })
  return by - earliest < LONG ? by : null
}
