/**
 * A database as it is after months: many destinations in many rooms, and a log behind or ahead of them. Written with
 * SQL of our own, as ingest would have left it: one `servers` item a room, then the events.
 *
 * Every room has `serversPerRoom` of the destinations, and every destination is in equally many rooms.
 */
import type { SigningKey } from '../../src/matrix/signing.ts'
import { migrate } from '../../src/store/migrate.ts'
import type { PoolClient } from 'pg'
import { inTransaction, type Pool } from '../../src/store/db.ts'
import { makeEvents } from './events.ts'

export interface Known {
  /** A power of ten of them. */
  names: readonly string[]
  rooms: number
  /** So that all rooms together hold every destination equally often. */
  serversPerRoom: number
  /** Events in the log, in turn for each room, and how many of them are sticky, for another half an hour. */
  events: number
  sticky?: number
  /** Who has got nothing of it yet; all others have got everything. Default: nobody. */
  behind?: 'all' | readonly string[]
  /** Who answered quickly until the oldest event came: what an outage of ours leaves behind. The others never answered. Default: nobody. */
  alive?: readonly string[]
  /** In every room, beside the others. */
  everywhere?: string
}

const MINUTE = 60_000
/** The oldest and the newest event, by age, ms: what is older than five minutes is caught up. */
const AGES = { oldest: 50 * MINUTE, newest: 6 * MINUTE }
/** Rows of one statement. */
const AT_ONCE = 50_000

export async function loadKnown(pool: Pool, key: SigningKey, known: Known): Promise<void> {
  await migrate(pool)
  const names = [...known.names, ...(known.everywhere === undefined ? [] : [known.everywhere])]
  await inTransaction(pool, async (db) => {
    // Nothing of this is measured; a checkpoint follows.
    await db.query('set local synchronous_commit = off')
    await writeNames(db, names, known)
    await writeMemberships(db, known)
  })
  for (let from = 0; from < known.events; from += AT_ONCE)
    await writeEvents(pool, key, known, from, Math.min(known.events, from + AT_ONCE))
  const head = known.rooms + known.events
  await pool.query('update stream set head = $1', [head])
  await pool.query(`update cursors set pos = $1 where name = 'fanout'`, [head])
  await pool.query(
    'update rooms r set head = coalesce((select max(e.pos) from events e where e.room = r.id), 0)',
  )
  const behind = known.behind ?? []
  if (behind !== 'all')
    await pool.query('update destinations set position = $1 where not name = any($2)', [head, behind])
  await pool.query(
    'update destinations set quick = true, lists = true, last_success = now_ms() - $1 where name = any($2)',
    [AGES.oldest, known.alive ?? []],
  )
  await pool.query('vacuum analyze')
  await pool.query('checkpoint')
}

async function writeNames(db: PoolClient, names: readonly string[], { rooms }: Known): Promise<void> {
  await db.query(
    `insert into destinations (name, position, created_at)
     select name, 0, now_ms() - $2 from unnest($1::text[]) as t (name)`,
    [names, AGES.oldest],
  )
  await db.query(
    `insert into rooms (room_id, room_version, known)
     select '!known' || n || ':home.example', '10', true from generate_series(1, $1) n`,
    [rooms],
  )
}

// $1 rooms, $2 servers a room, $3 destinations. So many rooms after each other hold every destination once, each such
// round in another order.
const MEMBERSHIPS = `
  insert into memberships (room, destination, since)
  select r, 1 + (((r - 1) * $2 + i) * (10 * (((r - 1) * $2 + i) / $3) + 1)) % $3, r
    from generate_series(1, $1::bigint) r, generate_series(0, $2::bigint - 1) i`

const EVERYWHERE = `
  insert into memberships (room, destination, since)
  select r.id, d.id, r.id from rooms r, destinations d where d.name = $1`

const CHANGES = `
  insert into changes (pos, kind, room, added, removed)
  select since, 'servers', room, array_agg(destination), '{}' from memberships group by room, since`

async function writeMemberships(
  db: PoolClient,
  { names, rooms, serversPerRoom, everywhere }: Known,
): Promise<void> {
  await db.query(MEMBERSHIPS, [rooms, serversPerRoom, names.length])
  if (everywhere !== undefined) await db.query(EVERYWHERE, [everywhere])
  await db.query(CHANGES)
}

// $1 from, $2 to (exclusive), $3 rooms, $4 a PDU with @room@ and @n@ in it, $5 the same as a sticky event,
// $6 every so manieth is sticky, $7 age of the oldest, $8 by how much each is younger than the one before.
const EVENTS = `
  with made as (
    select n, $3 + 1 + n as pos, (1 + n % $3)::int as room, n % $6 = $6 - 1 as sticky,
           '$' || rtrim(translate(encode(sha256(n::text::bytea), 'base64'), '+/', '-_'), '=') as event_id,
           t.now - ($7 - (n * $8::float8)::bigint) as at, t.now + ${30 * MINUTE} as until
      from (select now_ms() as now) t, generate_series($1::bigint, $2::bigint - 1) n
  ), ids as (
    insert into event_ids (event_id, pos, at) select event_id, pos, at from made
  ), lives as (
    insert into sticky (pos, room, expires_at) select pos, room, until from made where sticky
  )
  insert into events (pos, room, event_id, sender, pdu, received_ts, sticky_until)
  select pos, room, event_id, '@alice:home.example',
         replace(replace(case when sticky then $5 else $4 end, '@room@', '!known' || room || ':home.example'), '"@n@"', n::text),
         at, case when sticky then until end
    from made`

async function writeEvents(
  pool: Pool,
  key: SigningKey,
  known: Known,
  from: number,
  to: number,
): Promise<void> {
  const { events, rooms, sticky = 0 } = known
  const plain = makeEvents(key)('@room@').pdu.replace('"n":1}', '"n":"@n@"}')
  const lasting = plain.replace(
    '"origin_server_ts":',
    '"msc4354_sticky":{"duration_ms":3600000},"origin_server_ts":',
  )
  const every = sticky === 0 ? events + 1 : Math.floor(events / sticky)
  const younger = (AGES.oldest - AGES.newest) / events
  await inTransaction(pool, async (db) => {
    await db.query('set local synchronous_commit = off')
    await db.query(EVENTS, [from, to, rooms, plain, lasting, every, AGES.oldest, younger])
  })
}
