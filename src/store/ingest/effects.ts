/**
 * Writes the effects of a run of items on the stream, the rooms and the destinations: a statement a table.
 *
 * It runs inside the transaction that holds the stream's lock; the caller moves the head and commits.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { writeEdus, type StagedEdus } from './edus.ts'

export interface StagedEvent {
  pos: number
  room: number
  eventId: string
  sender: string
  pdu: string
  /** It is sent alone (migration 0024). */
  odd: boolean
  stickyUntil: number | null
  /** Hash of the list that it is addressed to; null: to the servers in its room. */
  recipients: string | null
}

export interface AddressedTo {
  exact: boolean
  list: number[]
  less: number[]
}

/** Positions of the newest event, durable EDU and other EDU addressed so; 0: none of this run. */
export interface HeadsOfList {
  head: number
  durableHead: number
  eduHead: number
}

export type StagedRecipients = AddressedTo & HeadsOfList

export interface StagedChange {
  pos: number
  room: number
  added: number[]
  removed: number[]
}

export interface StagedMembership {
  room: number
  destination: number
  since: number
  until: number | null
}

/** What a run of items does. Everything is keyed by the small integers of rooms and destinations. */
export interface Effects {
  newRooms: Map<number, string>
  roomVersions: Map<number, string>
  roomHeads: Map<number, number>
  knownRooms: Set<number>
  newDestinations: Map<number, { name: string; position: number }>
  recipients: Map<string, StagedRecipients>
  events: StagedEvent[]
  edus: StagedEdus
  changes: StagedChange[]
  /** Memberships that were open before this run and end in it: "room destination" to the position. */
  ended: Map<string, { room: number; destination: number; until: number }>
  begun: StagedMembership[]
  /** Those of `begun` that no later item of the run ended. */
  begunOpen: Map<string, StagedMembership>
  /** Join replays: "room destination" to the join's position, or null where a leave takes it away. */
  owed: Map<string, { room: number; destination: number; upto: number | null }>
  /** Destinations that joined: a failing one is tried again soon. */
  joined: Set<number>
}

export function noEffects(): Effects {
  return {
    newRooms: new Map(),
    roomVersions: new Map(),
    roomHeads: new Map(),
    knownRooms: new Set(),
    newDestinations: new Map(),
    recipients: new Map(),
    events: [],
    edus: { rows: [], roomSets: new Map() },
    changes: [],
    ended: new Map(),
    begun: [],
    begunOpen: new Map(),
    owed: new Map(),
    joined: new Set(),
  }
}

const INSERT_DESTINATIONS = sql(
  'insert destinations',
  `insert into destinations (id, name, position, durable_pos, ephemeral_pos, created_at)
  select id, name, position, position, position, $4 from unnest($1::int[], $2::text[], $3::bigint[]) as t (id, name, position)`,
)

const UPSERT_RECIPIENTS = sql(
  'store recipients',
  `insert into recipients as r (hash, exact, list, less, head, durable_head, edu_head)
  select t->>'hash', (t->>'exact')::boolean,
         array(select jsonb_array_elements_text(t->'list')::int), array(select jsonb_array_elements_text(t->'less')::int),
         (t->>'head')::bigint, (t->>'durableHead')::bigint, (t->>'eduHead')::bigint
    from jsonb_array_elements($1::jsonb) t
  on conflict (hash) do update
     set head = greatest(r.head, excluded.head), durable_head = greatest(r.durable_head, excluded.durable_head),
         edu_head = greatest(r.edu_head, excluded.edu_head)
  returning hash, id`,
)

// A room is of the version that its newest event says; flags only ever fill in, heads only grow.
const INSERT_EVENTS = sql(
  'insert events',
  `with rows as (
    select * from unnest($1::bigint[], $2::int[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::int[])
      as t (pos, room, event_id, sender, pdu, sticky_until, recipients)
  ), ids as (
    insert into event_ids (event_id, pos, at) select event_id, pos, $8 from rows
  ), lives as (
    insert into sticky (pos, room, expires_at) select pos, room, sticky_until from rows where sticky_until > $8
  ), heads as (
    update rooms r
       set head = greatest(r.head, t.head), room_version = coalesce(t.version, r.room_version), known = r.known or t.known
      from unnest($9::int[], $10::bigint[], $11::text[], $12::boolean[]) as t (id, head, version, known)
     where r.id = t.id
  )
  insert into events (pos, room, event_id, sender, pdu, received_ts, sticky_until, recipients, odd)
  select pos, room, event_id, sender, pdu, $8, sticky_until, recipients, case when pos = any($13::bigint[]) then true end from rows`,
)

const INSERT_CHANGES = sql(
  'insert changes',
  `insert into changes (pos, kind, room, added, removed)
  select (t->>'pos')::bigint, 'servers', (t->>'room')::int,
         array(select jsonb_array_elements_text(t->'added')::int), array(select jsonb_array_elements_text(t->'removed')::int)
    from jsonb_array_elements($1::jsonb) t`,
)

const END_MEMBERSHIPS = sql(
  'end memberships',
  `update memberships m set until = t.until
    from unnest($1::int[], $2::int[], $3::bigint[]) as t (room, destination, until)
   where m.room = t.room and m.destination = t.destination and m.until is null`,
)

const BEGIN_MEMBERSHIPS = sql(
  'begin memberships',
  `insert into memberships (room, destination, since, until)
  select * from unnest($1::int[], $2::int[], $3::bigint[], $4::bigint[])`,
)

const FORGET_OWED = sql(
  'forget join replays',
  `delete from sticky_owed o using unnest($1::int[], $2::int[]) as t (room, destination)
   where o.room = t.room and o.destination = t.destination`,
)

// A rejoin replaces the row: it is owed everything again, less what an answer lists from now on.
const OWE_STICKY = sql(
  'owe join replays',
  `insert into sticky_owed (destination, room, after_pos, upto, cursor, created_at)
  select t.destination, t.room, 0, t.upto, 0, $4 from unnest($1::int[], $2::int[], $3::bigint[]) as t (room, destination, upto)
  on conflict (destination, room) where room is not null
  do update set upto = excluded.upto, cursor = 0, created_at = excluded.created_at`,
)

export async function writeEffects(db: Db, effects: Effects, now: number): Promise<void> {
  await writeNames(db, effects, now)
  const recipientIds = await writeRecipients(db, effects)
  const { events, roomHeads, roomVersions, knownRooms } = effects
  const rooms = [...new Set([...roomHeads.keys(), ...roomVersions.keys(), ...knownRooms])]
  if (events.length + rooms.length > 0) {
    await db.query(INSERT_EVENTS, [
      events.map((e) => e.pos),
      events.map((e) => e.room),
      events.map((e) => e.eventId),
      events.map((e) => e.sender),
      events.map((e) => e.pdu),
      events.map((e) => e.stickyUntil),
      events.map((e) => (e.recipients === null ? null : (recipientIds.get(e.recipients) ?? null))),
      now,
      rooms,
      rooms.map((id) => roomHeads.get(id) ?? 0),
      rooms.map((id) => roomVersions.get(id) ?? null),
      rooms.map((id) => knownRooms.has(id)),
      events.flatMap((e) => (e.odd ? [e.pos] : [])),
    ])
  }
  await writeEdus(db, effects.edus, { recipientIds, now })
  await writeMemberships(db, effects, now)
}

const INSERT_ROOMS = sql(
  'insert rooms',
  'insert into rooms (id, room_id) select * from unnest($1::int[], $2::text[])',
)

async function writeNames(db: Db, effects: Effects, now: number): Promise<void> {
  const { newRooms, newDestinations } = effects
  if (newRooms.size > 0) {
    await db.query(INSERT_ROOMS, [[...newRooms.keys()], [...newRooms.values()]])
  }
  if (newDestinations.size > 0) {
    const added = [...newDestinations.values()]
    await db.query(INSERT_DESTINATIONS, [
      [...newDestinations.keys()],
      added.map(({ name }) => name),
      added.map(({ position }) => position),
      now,
    ])
  }
}

async function writeRecipients(db: Db, { recipients }: Effects): Promise<Map<string, number>> {
  if (recipients.size === 0) return new Map()
  const lists = [...recipients].map(([hash, list]) => ({ hash, ...list }))
  const { rows } = await db.query<{ hash: string; id: number }>(UPSERT_RECIPIENTS, [JSON.stringify(lists)])
  return new Map(rows.map(({ hash, id }) => [hash, id]))
}

async function writeMemberships(db: Db, effects: Effects, now: number): Promise<void> {
  const { changes, begun } = effects
  if (changes.length > 0) await db.query(INSERT_CHANGES, [JSON.stringify(changes)])
  const ended = [...effects.ended.values()]
  if (ended.length > 0) {
    await db.query(END_MEMBERSHIPS, [
      ended.map((e) => e.room),
      ended.map((e) => e.destination),
      ended.map((e) => e.until),
    ])
  }
  if (begun.length > 0) {
    await db.query(BEGIN_MEMBERSHIPS, [
      begun.map((b) => b.room),
      begun.map((b) => b.destination),
      begun.map((b) => b.since),
      begun.map((b) => b.until),
    ])
  }
  const owed = [...effects.owed.values()]
  const gone = owed.filter(({ upto }) => upto === null)
  const due = owed.filter(({ upto }) => upto !== null)
  if (gone.length > 0) {
    await db.query(FORGET_OWED, [gone.map((o) => o.room), gone.map((o) => o.destination)])
  }
  if (due.length > 0) {
    await db.query(OWE_STICKY, [
      due.map((o) => o.room),
      due.map((o) => o.destination),
      due.map((o) => o.upto),
      now,
    ])
  }
}
