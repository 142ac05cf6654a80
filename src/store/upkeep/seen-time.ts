/**
 * How old is something, measured in time that a running limpet saw? What is old is removed for good, so no single
 * clock is trusted.
 *
 * Between two notes of one process, time counts if the database's clock and the process's own monotonic clock moved
 * alike (within 10 %); the smaller of the two counts. So a clock that jumps adds nothing, in either direction, and
 * time while no limpet ran adds nothing. Now and then a note leaves a mark: how much time had been seen, where the
 * stream's head was, and the lowest reading of the clock since. An event is as old as the first mark that has it.
 *
 * Always: `seen_ms` only grows, and never faster than any process's own clock. Several processes note it independently:
 * each knows how much had been seen at its own last note, so nothing is counted twice.
 */
import type { Clock } from '../../pace/clock.ts'
import type { Log } from '../../observe/log.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

export interface SeenTimeNeeds {
  clock: Pick<Clock, 'monotonic'>
  /** How long the log is kept, ms: the shorter, the closer the marks. */
  eventsMs: number
  /** What is older than this is old in every respect, ms: marks before it are forgotten. */
  longestMs: number
  /** A process that notes the time again only after this was stopped in between, and saw nothing, ms. */
  stoppedMs?: number
  log: Log
}

export interface SeenTime {
  /** Notes what time has passed since this process's last note. Returns all that was ever seen, ms. May be called at any time. */
  note(db: Db): Promise<number>
}

/** Both clocks may differ by a tenth of what has passed, or by what reading them takes, ms. */
const TOLERANCE = 0.1
const READING_MS = 100
/** Marks are this far apart at most, ms, and the shorter the log is kept, the closer. */
const MARK_EVERY_MS = 60_000
const MARKS_AN_AGE = 64

const READ = sql('how much time was seen', 'select seen_ms as seen, now_ms() as now from seen_time')

// $1 how much has been seen at least, $2 the clock, $3 how far apart marks are. Two processes that note it at once wait for each other's
// row, so a mark never says that less had been seen than another one before it.
const NOTE = sql(
  'time was seen',
  `with moved as (
    update seen_time set seen_ms = greatest(seen_ms, $1) returning seen_ms
  ), newest as (
    select seen_ms from seen_marks order by seen_ms desc limit 1
  ), lowered as (
    update seen_marks m set low = $2 from newest n where m.seen_ms = n.seen_ms and m.low > $2
  ), marked as (
    insert into seen_marks (seen_ms, head, low)
    select w.seen_ms, s.head, $2 from moved w cross join stream s left join newest n on true
     where n.seen_ms is null or n.seen_ms <= w.seen_ms - $3
    on conflict (seen_ms) do nothing
  )
  select seen_ms as seen from moved`,
)

// The newest of those that are older than everything stays: it says that what is before it is old.
const FORGET_MARKS = sql(
  'forget marks',
  `delete from seen_marks where seen_ms < (
    select max(m.seen_ms) from seen_marks m where m.seen_ms <= (select seen_ms from seen_time) - $1)`,
)

export function makeSeenTime(needs: SeenTimeNeeds): SeenTime {
  const { clock, eventsMs, longestMs, stoppedMs = Infinity, log } = needs
  const markEvery = Math.min(MARK_EVERY_MS, Math.floor(eventsMs / MARKS_AN_AGE))
  let last: { seen: number; now: number; monotonic: number } | null = null

  /** How much of the time since the last note counts. */
  function passed(now: number, monotonic: number): number {
    if (last === null) return 0
    const [database, process] = [now - last.now, monotonic - last.monotonic]
    if (process > stoppedMs) return 0
    if (Math.abs(database - process) > Math.max(process * TOLERANCE, READING_MS)) {
      log.warn(
        { database_ms: database, process_ms: Math.round(process) },
        "the database's clock and this process's clock moved by different amounts: this time does not age the log",
      )
      return 0
    }
    return Math.max(0, Math.floor(Math.min(database, process)))
  }

  async function noteOnce(db: Db): Promise<number> {
    const [read] = (await db.query<{ seen: number; now: number }>(READ)).rows
    if (read === undefined) throw new Error('seen_time has no row: the database is damaged')
    const monotonic = clock.monotonic()
    // A database that was put back to an older state has seen less than we knew: begin anew.
    const seen = last !== null && read.seen >= last.seen ? last.seen + passed(read.now, monotonic) : read.seen
    const [noted] = (await db.query<{ seen: number }>(NOTE, [seen, read.now, markEvery])).rows
    last = { seen: noted?.seen ?? seen, now: read.now, monotonic }
    await db.query(FORGET_MARKS, [longestMs])
    return last.seen
  }

  // One after the other: what an older note knows must not take the place of what a newer one does, or time counts twice.
  let before: Promise<unknown> = Promise.resolve()
  return {
    note(db) {
      const noting = before.then(() => noteOnce(db))
      before = noting.catch(() => undefined)
      return noting
    },
  }
}

/** SQL: the last position that was received longer ago than `ms` (a parameter), or 0. */
export const oldUpTo = (ms: string) =>
  `coalesce((select m.head from seen_marks m where m.seen_ms <= (select seen_ms from seen_time) - ${ms}::bigint
              order by m.seen_ms desc limit 1), 0)`

/** SQL: a time by the database's clock that had come by every reading in the last `ms` (a parameter), or null. */
export const overSince = (ms: string) =>
  `(select min(l.low) from seen_marks l
     where l.seen_ms >= (select max(m.seen_ms) from seen_marks m
                          where m.seen_ms <= (select seen_ms from seen_time) - ${ms}::bigint))`
