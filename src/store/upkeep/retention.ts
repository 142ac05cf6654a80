/**
 * Removes what is old from the log, a partition at a time, and keeps what some destination is still owed.
 *
 * It runs in one process at a time, under a lock of its own, because it may wait for readers and the sweep must not.
 * Before a partition goes, every destination is past it or has a gap over it, and what those gaps need is copied. Each
 * step can be repeated, and the next step is found from what is there, so a crash between two steps costs only another
 * round. Ingest, turns and readers wait for nothing here but the locks of single rows.
 */
import { systemClock, type Clock } from '../../pace/clock.ts'
import type { Log } from '../../observe/log.ts'
import { inTransactionOn, type Db, type Pool } from '../db.ts'
import { endAheadOfTime, forgetEdus, forgetPurgedEdus, forgetRoomSets } from './forget-edus.ts'
import { forgetOld } from './forget-old.ts'
import { withRetentionLock } from './housekeeping.ts'
import { copyNeeded, dropUnneeded, giveUpOld, moveFloor, neededUpTo } from './kept-events.ts'
import {
  detachPartition,
  dropDetached,
  listPartitions,
  makePartitionsAhead,
  type Partition,
} from './log-partitions.ts'
import { makeSeenTime, oldUpTo, type SeenTime } from './seen-time.ts'
import { settleDestinations } from './move-past.ts'
import { lockStream, moveHead, readHead } from '../stream.ts'
import { sql } from '../statement.ts'

export interface RetentionNeeds {
  pool: Pool
  /** Milliseconds, as in the configuration. */
  settings: { events_ms: number; event_ids_ms: number; newest_event_ms: number; durable_edus_ms?: number }
  /** Time passes by this process's clock and the database's: what only one of them says ages nothing. */
  clock?: Pick<Clock, 'monotonic'>
  /** A process that notes the time again only after this was stopped, and saw nothing of that time, ms. */
  stoppedMs?: number
  /** In the place of one of its own. */
  seen?: SeenTime
  /** How long one round waits for readers of a partition that goes, ms; the next round goes on. */
  waitMs?: number
  /** Waits if all deliveries would have to plan anew again and again, unless `signal` aborts; not at all where it is left out. */
  rest?: (ms: number, signal?: AbortSignal) => Promise<void>
  onLapsed?: (count: number) => void
  onGivenUp?: (count: number) => void
  /** Told of durable EDUs that became too old, by pairs of EDU and destination. */
  onEdusGivenUp?: (count: number) => void
  /** Told of each step before it is made. */
  onStep?: (step: RetentionStep) => void | Promise<void>
  log: Log
}

export type RetentionStep =
  | 'make partitions'
  | 'begin a partition'
  | 'settle destinations'
  | 'copy'
  | 'move the floor'
  | 'detach'
  | 'drop'
  | 'forget'
  | 'forget EDUs'

export interface Retained {
  /** Partitions that were dropped. */
  dropped: string[]
  /** Why the oldest one that should go is still there, if it is. */
  waitsFor: 'destinations' | 'readers' | null
}

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** So long at most a process that stops waits for this. */
const WAIT_MS = 5_000
/** Between two commits that make all deliveries plan anew, ms: a delivery that plans again meanwhile comes to its freeze. */
const REST_MS = 2_000

/** One round; null when another process is at it. Throws where `signal` ends it early: the next round goes on. */
export type Retain = (signal?: AbortSignal) => Promise<Retained | null>

export function makeRetention(needs: RetentionNeeds): Retain {
  const { settings, clock = systemClock } = needs
  const seen = needs.seen ?? makeSeenTime({ ...needs, clock, ...agesOf(settings) })
  return async (signal) => {
    // Also where another process keeps house: it may be gone at the next round, and this one saw the time in between.
    await seen.note(needs.pool)
    const retained: Retained = { dropped: [], waitsFor: null }
    const ours = await withRetentionLock(needs.pool, (db) => makeRound({ ...needs, signal }, db, retained))
    return ours ? retained : null
  }
}

/** How long the log is kept, and what is kept longest. */
export const agesOf = (settings: RetentionNeeds['settings']) => ({
  eventsMs: settings.events_ms,
  longestMs: Math.max(eventIdsMs(settings), settings.newest_event_ms, durableEdusMs(settings)),
})

/** How long durable EDUs are kept where nothing is said of it. */
export const DURABLE_EDUS_MS = 30 * DAY_MS

const durableEdusMs = ({ durable_edus_ms = DURABLE_EDUS_MS }: RetentionNeeds['settings']) => durable_edus_ms

interface Round extends RetentionNeeds {
  signal: AbortSignal | undefined
}

async function makeRound(needs: Round, db: Db, retained: Retained): Promise<void> {
  const { settings, log } = needs
  const step = (name: RetentionStep) => begin(needs, name)
  await step('forget EDUs')
  await forgetOldEdus(needs, db)
  await step('make partitions')
  await makePartitionsAhead(db)
  await step('begin a partition')
  await beginPartition(db, rollAfterMs(settings.events_ms))
  for (;;) {
    retained.waitsFor = await dropNext(needs, db, retained.dropped)
    if (retained.waitsFor !== null) break
    if (!(await prepareNext(needs, db, retained))) break
  }
  if (retained.dropped.length > 0)
    log.info({ partitions: retained.dropped }, 'old parts of the log were removed')
  if (retained.dropped.length === 0 && !(await isTime(db))) return
  await step('forget')
  await sweepKept(needs, db)
  // Before the purges themselves are forgotten.
  await forgetPurgedEdus(db)
  await forgetOld(db, eventIdsMs(settings))
  await forgetRoomSets(db)
  await db.query(FORGOT)
}

/** At each round: an hour may have millions of them. */
async function forgetOldEdus(needs: Round, db: Db): Promise<void> {
  const mayGoOn = () => needs.signal?.throwIfAborted()
  await endAheadOfTime(db, durableEdusMs(needs.settings))
  const givenUp = await forgetEdus(db, durableEdusMs(needs.settings), mayGoOn)
  if (givenUp > 0) needs.onEdusGivenUp?.(givenUp)
}

/** Ids are known for longer than any event of the log. */
const eventIdsMs = ({ event_ids_ms, events_ms }: RetentionNeeds['settings']) =>
  Math.max(event_ids_ms, events_ms + 2 * rollAfterMs(events_ms))

async function begin({ onStep, signal }: Round, step: RetentionStep): Promise<void> {
  signal?.throwIfAborted()
  await onStep?.(step)
}

/** A partition is used for a day at most, however little comes: what is old must not wait for it to fill. */
const rollAfterMs = (eventsMs: number) => Math.min(DAY_MS, Math.floor(eventsMs / 4))

// The oldest event of the partition in use says since when it is.
const FIRST = sql(
  'is the partition in use old',
  `select e.pos <= ${oldUpTo('$3')} as old from events e where e.pos >= $1 and e.pos < $2 order by e.pos limit 1`,
)

const PAST_THE_HOLE = sql(
  'move the fanout past the hole',
  'update cursors set pos = $2 where name = $3 and pos >= $1',
)

/** Moves the stream's counter to the next partition when the one in use has been so for `afterMs`. */
async function beginPartition(db: Db, afterMs: number): Promise<void> {
  const isOld = async (head: number) => {
    const current = (await listPartitions(db)).find(({ from, to }) => from <= head + 1 && head + 1 < to)
    if (current === undefined) return null
    const { rows } = await db.query<{ old: boolean }>(FIRST, [current.from, current.to, afterMs])
    return rows[0]?.old === true ? current.to - 1 : null
  }
  if ((await isOld(await readHead(db))) === null) return
  await inTransactionOn(db, async () => {
    const { head } = await lockStream(db)
    const next = await isOld(head)
    if (next === null) return
    await moveHead(db, next)
    // A destination that is through with the log need not go through the hole.
    await db.query(PAST_THE_HOLE, [head, next, 'fanout'])
  })
}

const FLOOR = sql('read the floor', 'select log_floor from stream')

/** Everything up to there is out of the log. */
export async function readFloor(db: Db): Promise<number> {
  return (await db.query<{ log_floor: number }>(FLOOR)).rows[0]?.log_floor ?? 0
}

/** Finishes with what is out of the log or on its way out; why not, if it can't. */
async function dropNext(needs: Round, db: Db, dropped: string[]): Promise<Retained['waitsFor']> {
  const floor = await readFloor(db)
  // Only what was prepared: nothing else is ours to drop.
  const going = (await listPartitions(db)).filter(({ to }) => to <= floor + 1)
  for (const partition of going) {
    if (partition.state !== 'detached') {
      await begin(needs, 'detach')
      if (!(await detachPartition(db, partition, needs.waitMs ?? WAIT_MS))) return 'readers'
    }
    await begin(needs, 'drop')
    await dropDetached(db, partition)
    dropped.push(partition.name)
  }
  return null
}

// $1: how long the log is kept. A sticky event stays until the sweep has forgotten that it was one: ten minutes after its end.
const OLD_UP_TO = sql(
  'how far is the log old',
  `select least(${oldUpTo('$1')}, s.head, (select min(k.pos) - 1 from sticky k)) as upto from stream s`,
)

/** The last position of the log that is old enough to go, and has nothing sticky before it. */
export async function oldLogUpTo(db: Db, eventsMs: number): Promise<number> {
  return (await db.query<{ upto: number }>(OLD_UP_TO, [eventsMs])).rows[0]?.upto ?? 0
}

// The newest event's age is the partition's. $1, $2: its range, $3: the last position that is old enough.
const IS_OLD = sql(
  'is a partition old enough',
  `select s.head >= $2::bigint - 1
     and not exists (select 1 from events e where e.pos >= $1 and e.pos < $2 and e.pos > $3)
     and not exists (select 1 from sticky k where k.pos < $2) as old
    from stream s`,
)

/** Makes the oldest partition ready to go, if it is old enough; false: it stays for now. */
async function prepareNext(needs: Round, db: Db, retained: Retained): Promise<boolean> {
  const oldest = (await listPartitions(db))[0]
  if (oldest === undefined || !(await isOldEnough(needs, db, oldest))) return false
  const upto = oldest.to - 1
  await begin(needs, 'settle destinations')
  const { held, moved, gaps, lapsed } = await settleDestinations(db, upto, needs.signal)
  needs.onLapsed?.(lapsed)
  needs.log.debug(
    { upto, held, moved, gaps },
    'destinations were moved past the part of the log that is being removed',
  )
  if (held > 0) {
    retained.waitsFor = 'destinations'
    return false
  }
  await begin(needs, 'copy')
  await copyNeeded(db, await neededUpTo(db, upto, needs.signal), oldest.from - 1)
  await begin(needs, 'move the floor')
  await moveFloor(db, upto)
  return true
}

async function isOldEnough({ settings }: RetentionNeeds, db: Db, { from, to }: Partition): Promise<boolean> {
  const upto = await oldLogUpTo(db, settings.events_ms)
  return (await db.query<{ old: boolean }>(IS_OLD, [from, to, upto])).rows[0]?.old === true
}

const KEPT = sql('is anything kept', 'select log_floor from stream where exists (select 1 from kept_events)')

/** What is kept and no longer needed, because a gap closed or has something newer of the room, goes too. */
async function sweepKept(needs: Round, db: Db): Promise<void> {
  const { rows } = await db.query<{ log_floor: number }>(KEPT)
  const [row] = rows
  if (row === undefined) return
  const needed = await neededUpTo(db, row.log_floor, needs.signal)
  const pairs = await giveUpOld(db, needed, needs.settings.newest_event_ms, async () => {
    await needs.rest?.(REST_MS, needs.signal)
    needs.signal?.throwIfAborted()
  })
  needs.onGivenUp?.(pairs)
  await dropUnneeded(db, needed)
}

// Once an hour is enough where no partition went.
const IS_TIME = sql(
  'is it time to forget',
  `select not exists (select 1 from cursors c where c.name = 'forgot_at' and c.pos > n.now - ${HOUR_MS} and c.pos <= n.now) as due
    from (select now_ms() as now offset 0) n`,
)
const FORGOT = sql(
  'note that it was forgotten',
  `insert into cursors (name, pos) values ('forgot_at', now_ms()) on conflict (name) do update set pos = excluded.pos`,
)

const isTime = async (db: Db) => (await db.query<{ due: boolean }>(IS_TIME)).rows[0]?.due === true
