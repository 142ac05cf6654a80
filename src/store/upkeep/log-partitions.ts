/**
 * The log's partitions: made ahead of the head, and removed behind it without making anything wait.
 *
 * `events` is partitioned by position; a partition's name says its range (events_FROM_TO holds FROM <= pos < TO). A
 * new partition is created by itself and then attached, which waits for nothing that reads or appends. There is no
 * default partition: every attach would have to search it, and PostgreSQL refuses a concurrent detach beside one. An
 * old partition is detached concurrently: PostgreSQL hides it, waits until the last transaction that saw it has ended,
 * and releases it. That may be interrupted at any moment; the next look finishes the rest.
 */
import { inTransactionOn, type Db } from '../db.ts'
import { sql, variants } from '../statement.ts'

/**
 * Positions in a partition. Large enough that a busy server has few partitions a day (each costs every look into a
 * quiet room one more index), small enough that the holes that a day's end leaves use up nothing that matters.
 */
export const PARTITION_WIDTH = 2_000_000
/** Whole partitions that stand ready after the one in use. */
const AHEAD = 2
/** More than one commit can append. A commit that appends with less than this left makes the next partition itself. */
export const LEAST_ROOM = 100_000

export interface Partition {
  name: string
  /** Inclusive. */
  from: number
  /** Exclusive. */
  to: number
  /** `detaching`: a detach was cut off and is to be finished. `detached`: to be dropped. */
  state: 'attached' | 'detaching' | 'detached'
}

const LIST = sql(
  'list the partitions',
  `select c.relname as name,
         case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'detaching' else 'attached' end as state
    from pg_class c left join pg_inherits i on i.inhrelid = c.oid and i.inhparent = 'events'::regclass
   where c.relkind = 'r' and c.relname ~ '^events_[0-9]+_[0-9]+$'
     and c.relnamespace = (select relnamespace from pg_class where oid = 'events'::regclass)`,
)

/** All there are, in the order of their positions. */
export async function listPartitions(db: Db): Promise<Partition[]> {
  const { rows } = await db.query<{ name: string; state: Partition['state'] }>(LIST)
  return rows
    .map(({ name, state }) => {
      const [, from, to] = name.split('_')
      return { name, from: Number(from), to: Number(to), state }
    })
    .sort((a, b) => a.from - b.from)
}

const LOCK_END = sql('lock the end of the log', 'select head, log_end from stream for update')

const MOVE_END = sql('move the end of the log', 'update stream set log_end = $1')

const make = variants('make a partition')

const attach = variants('attach a partition')

/** Makes partitions until `room` positions after the head have one. The caller's transaction; returns the log's end. */
export async function extendLog(db: Db, room: number): Promise<number> {
  // Locked first: two processes that extend it at once would make the same one.
  const { rows } = await db.query<{ head: number; log_end: number }>(LOCK_END)
  const row = rows[0]
  if (row === undefined) throw new Error('the stream has no head: the database is damaged')
  let end = row.log_end
  for (; end - row.head <= room; end += PARTITION_WIDTH) {
    const to = end + PARTITION_WIDTH
    const name = nameOf(end, to)
    await db.query(make(`create table ${name} (like events including defaults)`))
    await db.query(attach(`alter table events attach partition ${name} for values from (${end}) to (${to})`))
  }
  if (end !== row.log_end) await db.query(MOVE_END, [end])
  return end
}

const NEEDS_ROOM = sql('is room for a partition needed', 'select from stream where log_end - head <= $1')

/** Sees to it that whole partitions stand ready after the one in use. */
export async function makePartitionsAhead(db: Db): Promise<void> {
  const room = AHEAD * PARTITION_WIDTH
  const { rows } = await db.query(NEEDS_ROOM, [room])
  if (rows.length > 0) await inTransactionOn(db, () => extendLog(db, room))
}

const WAIT = sql('wait for readers for a while', `select set_config('lock_timeout', $1, false)`)

const WAIT_AS_BEFORE = sql('wait for locks as before', 'reset lock_timeout')

const detach = variants('detach a partition')

/**
 * Takes a partition out of the log, concurrently, and waits until no transaction sees it any more. Outside a transaction. It
 * waits for `waitMs` at most: then, as after a crash, it is `detaching`, and false is returned.
 */
export async function detachPartition(db: Db, { name, state }: Partition, waitMs: number): Promise<boolean> {
  const how = state === 'detaching' ? 'finalize' : 'concurrently'
  await db.query(WAIT, [String(waitMs)])
  try {
    await db.query(detach(`alter table events detach partition ${name} ${how}`))
    return true
  } catch (error) {
    if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error
    return false
  } finally {
    await db.query(WAIT_AS_BEFORE).catch(() => undefined)
  }
}

const LOCK_NOT_AVAILABLE = '55P03'

const dropTable = variants('drop a partition')

/** Drops what is no longer part of the log. */
export async function dropDetached(db: Db, { name }: Partition): Promise<void> {
  await db.query(dropTable(`drop table if exists ${name}`))
}

const nameOf = (from: number, to: number) => `events_${from}_${to}`
