/**
 * Everything that says what became of given events, for each destination that they ever concerned: who was in the room
 * when, what was addressed, and what gaps, replays, owed rows and open transactions say.
 *
 * There is no row per event and destination; these few tables together answer for all of them. Read them on one
 * snapshot (`inSnapshot`), otherwise an event may seem to be nowhere between two statements.
 */
import { nowMs, type Db } from '../db.ts'
import { readDestinations, type DestinationRow } from './destination-row.ts'
import { sql, type Sql } from '../statement.ts'

export interface EventRow {
  pos: number
  room: number
  room_id: string
  event_id: string
  sender: string
  received_ts: number
  /** Until when it is sticky (ms since the epoch); null: it never was, or is redacted. */
  sticky_until: number | null
  exact: boolean | null
  list: number[] | null
  less: number[] | null
}

const selectEvent = (table: 'events' | 'kept_events') => `
  select e.pos, e.room, o.room_id, e.event_id, e.sender, e.received_ts, e.sticky_until, r.exact, r.list, r.less
    from ${table} e join rooms o on o.id = e.room left join recipients r on r.id = e.recipients`

export const SELECT_EVENT = selectEvent('events')
const ITS_ID = 'e.pos = (select pos from event_ids where event_id = $1) and e.event_id = $1'
const FIND = [
  sql('find an event', `${SELECT_EVENT} where ${ITS_ID}`),
  // The same of what was kept when its part of the log went.
  sql('find a kept event', `${selectEvent('kept_events')} where ${ITS_ID}`),
]

/** The event, or null where it isn't (or is no longer) in the log, nor kept for a destination that lags. */
export async function findEvent(db: Db, eventId: string): Promise<EventRow | null> {
  for (const statement of FIND) {
    const { rows } = await db.query<EventRow>(statement, [eventId])
    if (rows[0] !== undefined) return rows[0]
  }
  return null
}

const IS_KNOWN = sql('is the event id known', 'select from event_ids where event_id = $1')

/** Whether the id was taken once, however long ago it left the log. */
export async function isKnownEvent(db: Db, eventId: string): Promise<boolean> {
  return (await db.query(IS_KNOWN, [eventId])).rows.length > 0
}

export interface Interval {
  room: number
  destination: number
  since: number
  until: number | null
}

export interface GapRow {
  destination: number
  from_pos: number
  to_pos: number
  cursor: number
  opened_at: number
  closed_at: number | null
}

export interface ReplayRow {
  destination: number
  pos: number
  state: string
  listed_at: number | null
  tries: number
  next_at: number | null
  at: number
}

export interface OwedRow {
  destination: number
  room: number | null
  after_pos: number
  upto: number | null
  cursor: number
}

export interface OpenRow {
  destination: number
  txn_id: string
  started_at: number
  positions: number[]
  lanes: string
}

/** An operator gave up what was owed: after `from_pos`, where a gap had been gone through up to `reached`, up to `upto`. */
export interface SkipRow {
  destination: number
  from_pos: number
  reached: number
  upto: number
  who: string
  at: number
}

/** It is apart (`delivery/apart.ts`). */
export interface ApartFact {
  destination: number
  pos: number
  /** t (timeline), c (catch-up), s (sticky replay). */
  lane: string
  /** With which others it is sent; null: it was set aside. */
  grp: number | null
  since: number
  tries: number
  next_at: number | null
  /** What was last answered. */
  message: string | null
}

/** A room that waits, after `cursor`. */
export interface WaitFact {
  destination: number
  room: number
  cursor: number
  /** Null: it is not held, and waits for the others of it. */
  held_since: number | null
  next_at: number | null
}

/** An operator gave it up, after it was set aside. */
export interface GivenUpRow {
  destination: number
  pos: number
  who: string
  at: number
}

export interface EventFacts {
  /** The database's clock, ms since the epoch. */
  now: number
  destinations: DestinationRow[]
  intervals: Interval[]
  gaps: GapRow[]
  replays: ReplayRow[]
  owed: OwedRow[]
  open: OpenRow[]
  skips: SkipRow[]
  apart: ApartFact[]
  waits: WaitFact[]
  givenUp: GivenUpRow[]
}

const INTERVALS = sql(
  'read the memberships of rooms',
  `select room, destination, since, until from memberships
      where room = any($2::int[]) and ($1::int is null or destination = $1)`,
)

const REPLAYS = sql(
  'read the replays of events',
  `select destination, pos, state, listed_at, tries, next_at, at from replays
      where pos = any($2::bigint[]) and ($1::int is null or destination = $1)`,
)

const OWED = sql(
  'read the sticky lanes of rooms',
  `select destination, room, after_pos, upto, cursor from sticky_owed
      where (room = any($2::int[]) or room is null) and ($1::int is null or destination = $1)`,
)

const GAPS = sql(
  'read the gaps over events',
  `select destination, from_pos, to_pos, cursor, opened_at, closed_at from gaps
      where to_pos >= $2 and from_pos < $3 and ($1::int is null or destination = $1)`,
)

const OPEN = sql(
  'read the transactions with events',
  `select destination, txn_id, started_at, positions, lanes from open_transactions
      where not void and positions && $2::bigint[] and ($1::int is null or destination = $1)`,
)

const SKIPS = sql(
  'read the skips over events',
  `select destination, from_pos, reached, upto, who, at from skips
      where upto >= $2 and ($1::int is null or destination = $1) order by upto, at`,
)

const APART = sql(
  'read what is apart of events',
  `select destination, pos, lane, grp, since, tries, next_at, message from apart
      where room = any($3::int[]) and pos = any($2::bigint[]) and ($1::int is null or destination = $1)`,
)

const WAITS = sql(
  'read the waits of rooms',
  `select destination, room, cursor, held_since, next_at from waiting_rooms
      where room = any($2::int[]) and ($1::int is null or destination = $1)`,
)

const GIVEN_UP = sql(
  'read what was given up of events',
  `select destination, pos, who, at from given_up
      where pos = any($2::bigint[]) and ($1::int is null or destination = $1)`,
)

const NOTHING = {
  ...{ destinations: [], intervals: [], gaps: [], replays: [], owed: [], open: [], skips: [] },
  ...{ apart: [], waits: [], givenUp: [] },
}

/** Reads what concerns `events`; `only`: for this one destination. */
export async function readEventFacts(
  db: Db,
  events: readonly EventRow[],
  only: number | null,
): Promise<EventFacts> {
  if (events.length === 0) return { now: await nowMs(db), ...NOTHING }
  const positions = events.map(({ pos }) => pos)
  const rooms = [...new Set(events.map(({ room }) => room))]
  const ask = async <Row extends object>(statement: Sql, ...values: unknown[]) =>
    (await db.query<Row>(statement, [only, ...values])).rows
  const intervals = await ask<Interval>(INTERVALS, rooms)
  const replays = await ask<ReplayRow>(REPLAYS, positions)
  const ids = new Set([...intervals, ...replays].map(({ destination }) => destination))
  for (const { list } of events) for (const id of list ?? []) ids.add(id)
  const concerned = only === null ? [...ids] : [only]
  const owed = await ask<OwedRow>(OWED, rooms)
  const gaps = await ask<GapRow>(GAPS, Math.min(...positions), Math.max(...positions))
  const open = await ask<OpenRow>(OPEN, positions)
  const skips = await ask<SkipRow>(SKIPS, Math.min(...positions))
  const apart = await ask<ApartFact>(APART, positions, rooms)
  const waits = await ask<WaitFact>(WAITS, rooms)
  const givenUp = await ask<GivenUpRow>(GIVEN_UP, positions)
  const destinations = await readDestinations(db, concerned)
  return {
    ...{ now: await nowMs(db), destinations, intervals, gaps, replays, owed, open, skips },
    ...{ apart, waits, givenUp },
  }
}
