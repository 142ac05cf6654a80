/**
 * The stream's one counter: who may append, and where does the stream end?
 *
 * Always: positions are committed in order. Each append holds one transaction-scoped advisory lock from before its
 * first read until its commit. So a snapshot that sees head H sees everything up to H.
 */
import type { Db } from './db.ts'
import { extendLog, LEAST_ROOM } from './upkeep/log-partitions.ts'
import { sql, variants, type Sql } from './statement.ts'

/** Key of the advisory lock: "limp" + 1. */
const APPEND_LOCK = 0x6c696d71
/** Key of the lock between a freeze (shared) and what takes content away (exclusive). */
const CONTENT_LOCK = 0x6c696d72

const LOCK = sql('lock', 'select pg_advisory_xact_lock($1)')
const LOCK_SHARED = sql('share the content lock', 'select pg_advisory_xact_lock_shared($1)')

/** What is read of the stream under its lock. */
export interface StreamRow {
  head: number
  now: number
  log_end: number
}

const toAppend = variants('read the head to append')

/** The columns of `StreamRow`, with others after them, in one statement. */
export const selectStream = (more = ''): Sql =>
  toAppend(`select head, now_ms() as now, log_end${more} from stream`)

const SELECT_STREAM = selectStream()

/** Waits for the right to append; call it first in the transaction. Returns the head and the database's time. */
export async function lockStream(db: Db): Promise<{ head: number; now: number }> {
  await waitToAppend(db)
  return withRoom(db, (await db.query<StreamRow>(SELECT_STREAM)).rows[0])
}

/** The first half of `lockStream`. What was committed before is seen by the next statement only. */
export async function waitToAppend(db: Db): Promise<void> {
  await db.query(LOCK, [APPEND_LOCK])
}

/** The second half, with the row that was read. */
export async function withRoom<Row extends StreamRow>(db: Db, row: Row | undefined): Promise<Row> {
  if (row === undefined) throw new Error('the stream has no head: the database is damaged')
  // Housekeeping makes partitions long before; if no process keeps house, ingest must not run into the end of the last partition.
  if (row.log_end - row.head < LEAST_ROOM) await extendLog(db, LEAST_ROOM)
  return row
}

// Both in one statement: each round trip lasts as long as the lock is held.
const MOVE_HEAD = sql(
  'move the head',
  `with stored as (
    insert into sources (source, source_token, updated_at)
    select source, token, $4 from unnest($2::text[], $3::text[]) as t (source, token)
    on conflict (source) do update set source_token = excluded.source_token, updated_at = excluded.updated_at
  )
  update stream set head = $1 where head <> $1`,
)

/** Moves the head, and with it the tokens of sources, which were given at `now`. */
export async function moveHead(
  db: Db,
  head: number,
  { tokens, now }: { tokens: ReadonlyMap<string, string>; now: number } = { tokens: new Map(), now: 0 },
): Promise<void> {
  await db.query(MOVE_HEAD, [head, [...tokens.keys()], [...tokens.values()], now])
}

const READ_HEAD = sql('read the head', 'select head from stream')

export async function readHead(db: Db): Promise<number> {
  const { rows } = await db.query<{ head: number }>(READ_HEAD)
  return rows[0]?.head ?? 0
}

/** A condition on `changes`, as its index has it: a text was taken away. */
export const TAKES_CONTENT = `kind in ('redact', 'purge', 'erase')`

/** The same, only what makes events go that a destination may have been owed: a redaction leaves the event where it is. */
const FORGETS = `kind in ('purge', 'erase')`
/** A condition for what moves a position or opens a gap by what was read when the head was at `at`. */
export const nothingForgottenSince = (at: string) =>
  `not exists (select 1 from changes c where c.${FORGETS} and c.${TAKES_CONTENT} and c.pos > ${at})`

/** Held by `redact`, `purge` and `erase` until their commit, so that no transaction freezes the old text meanwhile. */
export async function lockContent(db: Db): Promise<void> {
  await db.query(LOCK, [CONTENT_LOCK])
}

/** Held by a freeze (`content_taken_at()` in the database takes it too): what it checks after this stays true until its commit. */
export async function lockContentShared(db: Db): Promise<void> {
  await db.query(LOCK_SHARED, [CONTENT_LOCK])
}
