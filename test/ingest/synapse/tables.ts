/**
 * The part of Synapse's tables that limpet reads, with the columns, types and indexes of a real one (as far as limpet's
 * statements see them), and a pen to write events into them as Synapse does: with their parents, and the state after each as a group.
 */
import type pg from 'pg'
import { makePdu } from '../../../src/matrix/make-pdu.ts'
import { readSigningKey } from '../../../src/matrix/signing.ts'
import { inTransaction, openPool, type Pool } from '../../../src/store/db.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'

const TABLES = `
  create table schema_version (lock char(1) default 'X' primary key, version integer not null, upgraded bool not null);
  create table users (name text primary key);
  create table stream_positions (stream_name text not null, instance_name text not null, stream_id bigint not null,
                                 unique (stream_name, instance_name));
  create table rooms (room_id text primary key, is_public boolean, creator text, room_version text);
  create table events (topological_ordering bigint not null, event_id text not null unique, type text not null,
                       room_id text not null, processed boolean not null, outlier boolean not null,
                       depth bigint default 0 not null, origin_server_ts bigint, received_ts bigint, sender text,
                       instance_name text, stream_ordering bigint, state_key text, rejection_reason text);
  create unique index on events (stream_ordering);
  create index on events (room_id, stream_ordering);
  create table event_json (event_id text not null unique, room_id text not null, internal_metadata text not null,
                           json text not null, format_version integer);
  create table event_auth (event_id text not null, auth_id text not null, room_id text not null);
  create index on event_auth (event_id);
  create table rejections (event_id text not null unique, reason text not null, last_check text not null);
  create table redactions (event_id text not null unique, redacts text not null, have_censored boolean default false not null,
                           received_ts bigint, recheck boolean default true not null);
  create index on redactions (redacts);
  create table room_ban_redactions (room_id text not null, user_id text not null, redacting_event_id text not null,
                                    redact_end_ordering bigint, unique (room_id, user_id));
  create table room_memberships (event_id text not null unique, user_id text not null, sender text not null,
                                 room_id text not null, membership text not null);
  create table current_state_events (event_id text not null unique, room_id text not null, type text not null,
                                     state_key text not null, membership text, event_stream_ordering bigint,
                                     unique (room_id, type, state_key));
  create table current_state_delta_stream (stream_id bigint not null, room_id text not null, type text not null,
                                           state_key text not null, event_id text, prev_event_id text, instance_name text);
  create index on current_state_delta_stream (stream_id);
  create table ex_outlier_stream (event_stream_ordering bigint primary key, event_id text not null, state_group bigint not null,
                                  instance_name text);
  create table event_to_state_groups (event_id text not null unique, state_group bigint not null);
  create table state_group_edges (state_group bigint not null, prev_state_group bigint not null);
  create unique index on state_group_edges (state_group, prev_state_group);
  create table state_groups_state (state_group bigint not null, room_id text not null, type text not null,
                                   state_key text not null, event_id text not null);
  create index on state_groups_state (state_group, type, state_key);
  create table partial_state_rooms_servers (room_id text not null, server_name text not null, unique (room_id, server_name));
  insert into schema_version (version, upgraded) values (94, true);
  insert into users values ('@alice:a.example');`

export interface Written {
  readonly at: number
  readonly room?: string
  readonly sender: string
  /** Default: `m.room.member` where `member` is given, else `m.room.message`. */
  readonly type?: string
  readonly json?: object
  readonly metadata?: object
  readonly outlier?: boolean
  readonly rejected?: boolean
  /** Orderings of its parents; default: the room's event before it. */
  readonly parents?: readonly number[]
  /** Orderings of its auth events. */
  readonly auth?: readonly number[]
  /** How its own state group is stored: the difference to the one before (default), or as a whole. */
  readonly group?: 'difference' | 'whole'
  /** A create event that comes into the current state and begins the room anew. */
  readonly create?: boolean
  /** A membership: of whom, and what. */
  readonly member?: {
    readonly user: string
    readonly membership: string
    /** The lowest ordering of its batch. */
    readonly deltaAt?: number
    /** False: state resolution keeps it out of the current state. */
    readonly current?: boolean
  }
}

export interface SynapseTables {
  readonly pool: Pool
  readonly url: string
  /** The room that is written to by default: `ROOM`, but what its create event says in room version 12. */
  readonly room: string
  /** The id of the event at an ordering, and `$5` for that of the event at 5. */
  idAt(at: number): string
  nameOf(eventId: string): string
  /** Writes one event (and its change of state) in a transaction of `db`, the pool by default. */
  write(event: Written, db?: pg.Pool | pg.PoolClient): Promise<void>
  /** What an event writer notes after its commits. */
  finishedUpTo(at: number, writer?: string): Promise<void>
  /** Waits until the reader here has looked a few times more. */
  lookedAt(times?: number): Promise<void>
  /** From now on, to read a row of these rooms takes so long, or any row (`rooms`: null). Called again, it takes the place of before. */
  slow(
    table: 'current_state_events' | 'event_json',
    rooms: readonly string[] | null,
    ms: number,
  ): Promise<void>
  /** The same database as a user who may read these tables and nothing else. */
  reader(tables: readonly string[]): Promise<Pool>
  /** What a start under another name does: the writer of before has no place any more, and the new one none yet. */
  renamedWriter(): Promise<void>
  /** Keeps all as it is now; `restore` brings it back. What is written then is other events, at the same numbers. */
  dump(): Promise<{ restore(): Promise<void> }>
  close(): Promise<void>
}

export const ROOM = '!room:a.example'

/** The members of a state (their events by user) and its group. */
interface State {
  readonly group: number
  readonly members: ReadonlyMap<string, string>
}

const key = readSigningKey(`ed25519 test ${Buffer.alloc(32, 7).toString('base64').replace('=', '')}`)

/**
 * `version`: the events are real ones of that room version (event ids are reference hashes); left out, they are sketches
 * whose ids are their orderings. `at`: an empty database, which stays; left out, one of its own.
 */
export async function synapseTables({
  version,
  at: url,
}: { version?: string; at?: string } = {}): Promise<SynapseTables> {
  const database =
    url === undefined ? await freshDatabase({ migrated: false }) : { url, drop: () => Promise.resolve() }
  const pool = openPool({ url: database.url })
  await pool.query(TABLES)
  let home = ROOM
  if (version !== '12') await addRoom(ROOM)
  const ids = new Map<number, string>()
  const after = new Map<string, State>()
  const newest = new Map<string, number>()
  let groups = 0
  /** Of sketches, so that what is written after a restore has other ids. */
  let era = ''

  async function addRoom(room: string): Promise<void> {
    await pool.query('insert into rooms (room_id, room_version) values ($1, $2)', [room, version ?? '11'])
  }

  const idAt = (at: number) => ids.get(at) ?? `$${at}${era}`

  function madeOf(e: Written, parents: readonly number[], replaces: string | undefined) {
    const { at, room = home, sender, member, create } = e
    const { type = create ? 'm.room.create' : member === undefined ? 'm.room.message' : 'm.room.member' } = e
    const unsigned = { age_ts: 1, ...(replaces === undefined ? {} : { replaces_state: replaces }) }
    const stateKey = create ? '' : member?.user
    if (version === undefined) {
      const prev_events = parents.map(idAt)
      return {
        type,
        id: `$${at}${era}`,
        json: { sender, room_id: room, type, prev_events, unsigned, ...e.json },
      }
    }
    const content = member === undefined ? { body: `said at ${at}` } : { membership: member.membership }
    const { eventId, pdu } = makePdu(
      {
        ...{ roomId: room, type, sender, content, originServerTs: at, depth: at },
        ...(stateKey === undefined ? {} : { stateKey }),
        prevEvents: parents.map(idAt),
        authEvents: (e.auth ?? []).map(idAt),
        more: { unsigned, ...e.json },
      },
      key,
      version,
    )
    return { type, id: eventId, json: pdu }
  }

  async function write(e: Written, db: pg.Pool | pg.PoolClient = pool): Promise<void> {
    const { at, sender, metadata = {}, outlier = false, rejected = false, member, create = false } = e
    const previous = newest.get(e.room ?? home)
    const parents = e.parents ?? (previous === undefined ? [] : [previous])
    const before = await stateBefore(db, e.room ?? home, parents)
    const replaces = member === undefined ? undefined : before.members.get(member.user)
    const { id, type, json } = madeOf(e, parents, replaces)
    ids.set(at, id)
    if (create && version === '12') {
      home = `!${id.slice(1)}`
      await addRoom(home)
    }
    const room = e.room ?? home
    if (!outlier) newest.set(room, at)
    await db.query(
      `insert into events (stream_ordering, topological_ordering, processed, event_id, room_id, sender, type, state_key,
                           outlier, rejection_reason)
       values ($1, 1, true, $2, $3, $4, $5, $6, $7, $8)`,
      [at, id, room, sender, type, create ? '' : (member?.user ?? null), outlier, rejected ? 'no' : null],
    )
    await db.query('insert into event_json values ($1, $2, $3, $4, 3)', [
      id,
      room,
      JSON.stringify(metadata),
      JSON.stringify(json),
    ])
    for (const auth of e.auth ?? [])
      await db.query('insert into event_auth values ($1, $2, $3)', [id, idAt(auth), room])
    if (!outlier) await store(db, e, id, before)
    if (create)
      await db.query(
        `insert into current_state_delta_stream values ($1, $2, 'm.room.create', '', $3, null, 'master')`,
        [at, room, id],
      )
    if (member === undefined || rejected) return
    const { user, membership, deltaAt = at, current = true } = member
    await db.query('insert into room_memberships values ($1, $2, $3, $4, $5)', [
      id,
      user,
      sender,
      room,
      membership,
    ])
    if (!current || outlier) return
    await db.query(
      `insert into current_state_delta_stream values ($1, $2, 'm.room.member', $3, $4,
         (select event_id from current_state_events where room_id = $2 and type = 'm.room.member' and state_key = $3), 'master')`,
      [deltaAt, room, user, id],
    )
    await db.query(
      `insert into current_state_events values ($1, $2, 'm.room.member', $3, $4, $5)
       on conflict (room_id, type, state_key) do update set event_id = excluded.event_id, membership = excluded.membership`,
      [id, room, user, membership, at],
    )
  }

  /** Of several parents the later ones' members count: state resolution is not what is tried here. */
  async function stateBefore(
    db: pg.Pool | pg.PoolClient,
    room: string,
    parents: readonly number[],
  ): Promise<State> {
    const states = parents.flatMap((one) => after.get(idAt(one)) ?? [])
    const [first] = states
    if (first === undefined)
      return { group: await newGroup(db, room, { members: new Map() }), members: new Map() }
    const members = new Map(states.flatMap((state) => [...state.members]))
    const changed = [...members].filter(([user, event]) => first.members.get(user) !== event)
    if (changed.length === 0) return first
    return { group: await newGroup(db, room, { members: new Map(changed), from: first.group }), members }
  }

  async function store(db: pg.Pool | pg.PoolClient, e: Written, id: string, before: State): Promise<void> {
    let state = before
    if (e.member !== undefined && e.rejected !== true) {
      const members = new Map([...before.members, [e.member.user, id]])
      const group =
        e.group === 'whole'
          ? await newGroup(db, e.room ?? home, { members })
          : await newGroup(db, e.room ?? home, {
              members: new Map([[e.member.user, id]]),
              from: before.group,
            })
      state = { group, members }
    }
    after.set(id, state)
    await db.query('insert into event_to_state_groups values ($1, $2)', [id, state.group])
  }

  async function newGroup(
    db: pg.Pool | pg.PoolClient,
    room: string,
    { members, from }: { members: ReadonlyMap<string, string>; from?: number },
  ): Promise<number> {
    const group = (groups += 1)
    if (from !== undefined) await db.query('insert into state_group_edges values ($1, $2)', [group, from])
    for (const [user, event] of members)
      await db.query(`insert into state_groups_state values ($1, $2, 'm.room.member', $3, $4)`, [
        group,
        room,
        user,
        event,
      ])
    return group
  }

  const readers: Pool[] = []
  let looks = 0
  pool.on('acquire', () => (looks += 1))

  return {
    pool,
    url: database.url,
    get room() {
      return home
    },
    idAt,
    nameOf: (eventId) => `$${[...ids].find(([, id]) => id === eventId)?.[0] ?? eventId}`,
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
    async slow(table, rooms, ms) {
      const { rows } = await pool.query<{ first: boolean }>(
        `select to_regclass('fast_${table}') is null as first`,
      )
      if (rows[0]?.first === true) await pool.query(`alter table ${table} rename to fast_${table}`)
      const which = rooms === null ? 'true' : `room_id in ('${rooms.join("', '")}')`
      await pool.query(
        `create or replace view ${table} as
           select * from fast_${table} where case when ${which} then pg_sleep(${ms / 1000}) is not null else true end`,
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
    async renamedWriter() {
      await pool.query(`delete from stream_positions where stream_name = 'events'`)
    },
    async dump() {
      const { rows } = await pool.query<{ name: string }>(
        `select tablename as name from pg_tables where schemaname = 'public'`,
      )
      const kept = new Map<string, unknown>()
      for (const { name } of rows) {
        const { rows: all } = await pool.query<{ all: unknown }>(
          `select coalesce(json_agg(t), '[]') as all from ${name} t`,
        )
        kept.set(name, all[0]?.all)
      }
      const memory = [new Map(ids), new Map(after), new Map(newest), groups] as const
      return {
        async restore() {
          await inTransaction(pool, async (db) => {
            await db.query(`truncate ${[...kept.keys()].join(', ')}`)
            for (const [name, all] of kept)
              await db.query(`insert into ${name} select * from json_populate_recordset(null::${name}, $1)`, [
                JSON.stringify(all),
              ])
          })
          const [oldIds, oldAfter, oldNewest, oldGroups] = memory
          for (const map of [ids, after, newest]) map.clear()
          for (const [at, id] of oldIds) ids.set(at, id)
          for (const [id, state] of oldAfter) after.set(id, state)
          for (const [room, at] of oldNewest) newest.set(room, at)
          // Their numbers come again, too.
          groups = oldGroups
          era += "'"
        },
      }
    },
    async close() {
      for (const reading of readers) await reading.end()
      if (readers.length > 0) await pool.query('drop owned by synapse_reader; drop role synapse_reader')
      await pool.end()
      await database.drop()
    },
  }
}
