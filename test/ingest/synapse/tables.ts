/** The part of Synapse's tables that limpet reads, made by hand, and a pen to write events into them as Synapse does. */
import type pg from 'pg'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'

const TABLES = `
  create table schema_version (lock char(1) default 'X' primary key, version integer not null, upgraded bool not null);
  create table users (name text primary key);
  create table stream_positions (stream_name text, instance_name text, stream_id bigint, unique (stream_name, instance_name));
  create table rooms (room_id text primary key, room_version text);
  create table events (stream_ordering bigint unique, event_id text unique, room_id text, sender text,
                       outlier boolean not null, rejection_reason text);
  create table event_json (event_id text unique, room_id text, internal_metadata text, json text, format_version integer);
  create table rejections (event_id text unique);
  create table room_memberships (event_id text unique, user_id text, room_id text, membership text);
  create table current_state_events (event_id text unique, room_id text, type text, state_key text, membership text,
                                     unique (room_id, type, state_key));
  create table current_state_delta_stream (stream_id bigint, room_id text, type text, state_key text,
                                           event_id text, prev_event_id text, instance_name text);
  create table partial_state_rooms_servers (room_id text, server_name text);
  insert into schema_version (version, upgraded) values (94, true);
  insert into users values ('@alice:a.example');`

export interface Written {
  readonly at: number
  readonly room?: string
  readonly sender: string
  readonly json?: object
  readonly metadata?: object
  readonly outlier?: boolean
  readonly rejected?: boolean
  /** A membership that becomes current state: of whom, and what. `deltaAt`: the lowest ordering of its batch. */
  readonly member?: { readonly user: string; readonly membership: string; readonly deltaAt?: number }
}

export interface SynapseTables {
  readonly pool: Pool
  /** Writes one event (and its change of state) in a transaction of `db`, the pool by default. */
  write(event: Written, db?: pg.Pool | pg.PoolClient): Promise<void>
  /** What an event writer notes after its commits. */
  finishedUpTo(at: number, writer?: string): Promise<void>
  /** Waits until whoever reads here has looked a few times more. */
  lookedAt(times?: number): Promise<void>
  /** The same database as a user who may read these tables and nothing else. */
  reader(tables: readonly string[]): Promise<Pool>
  close(): Promise<void>
}

export const ROOM = '!room:a.example'

export async function synapseTables(): Promise<SynapseTables> {
  const database = await freshDatabase({ migrated: false })
  const pool = openPool({ url: database.url })
  await pool.query(TABLES)
  await pool.query('insert into rooms values ($1, $2)', [ROOM, '11'])

  async function write(e: Written, db: pg.Pool | pg.PoolClient = pool): Promise<void> {
    const { at, room = ROOM, sender, metadata = {}, outlier = false, rejected = false, member } = e
    const id = `$${at}`
    const json = { sender, room_id: room, unsigned: { age_ts: 1 }, ...e.json }
    await db.query('insert into events values ($1, $2, $3, $4, $5, $6)', [
      at,
      id,
      room,
      sender,
      outlier,
      rejected ? 'no' : null,
    ])
    await db.query('insert into event_json values ($1, $2, $3, $4, 3)', [
      id,
      room,
      JSON.stringify(metadata),
      JSON.stringify(json),
    ])
    if (member === undefined) return
    const { user, membership, deltaAt = at } = member
    await db.query('insert into room_memberships values ($1, $2, $3, $4)', [id, user, room, membership])
    await db.query(
      `insert into current_state_delta_stream values ($1, $2, 'm.room.member', $3, $4,
         (select event_id from current_state_events where room_id = $2 and type = 'm.room.member' and state_key = $3), 'master')`,
      [deltaAt, room, user, id],
    )
    await db.query(
      `insert into current_state_events values ($1, $2, 'm.room.member', $3, $4)
       on conflict (room_id, type, state_key) do update set event_id = excluded.event_id, membership = excluded.membership`,
      [id, room, user, membership],
    )
  }

  const readers: Pool[] = []
  let looks = 0
  pool.on('acquire', () => (looks += 1))

  return {
    pool,
    write,
    async lookedAt(times = 4) {
      const wanted = looks + times
      await until(() => looks >= wanted, { what: 'the source to look again' })
    },
    async finishedUpTo(at, writer = 'master') {
      await pool.query(
        `insert into stream_positions values ('events', $1, $2)
         on conflict (stream_name, instance_name) do update set stream_id = excluded.stream_id`,
        [writer, at],
      )
    },
    async reader(tables) {
      await pool.query(`create role synapse_reader login password 'reader'`)
      await pool.query(`grant select on ${tables.join(', ')} to synapse_reader`)
      const url = new URL(database.url)
      url.username = 'synapse_reader'
      url.password = 'reader'
      const reading = openPool({ url: url.href })
      readers.push(reading)
      return reading
    },
    async close() {
      for (const reading of readers) await reading.end()
      if (readers.length > 0) await pool.query('drop owned by synapse_reader; drop role synapse_reader')
      await pool.end()
      await database.drop()
    },
  }
}
