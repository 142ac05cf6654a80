/**
 * What has been added to the log since? Events, EDUs and changes in the order of their positions, from one snapshot, for a
 * process that follows the log.
 *
 * Always: everything up to `upto` is in what was read so far, whichever positions are missing in between. Each read
 * also says what stands where it begins: after a failover to an older state that differs from what was read there
 * before.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { textWithin, type Most } from '../within-bytes.ts'
import type { StoredEdu } from './edus.ts'

export interface LoggedEvent {
  kind: 'event'
  pos: number
  room: number
  eventId: string
  pdu: string
  receivedTs: number
  /** It was ever sticky, and not redacted since. */
  sticky: boolean
  /** It goes in a transaction of its own (contract 5.9). */
  odd?: boolean
  /** Which destinations are addressed: `list` beyond the room's servers, or (`exact`) instead of them; `less`: not these. Null: the room's servers. */
  addressed: { exact: boolean; list: number[]; less: number[] } | null
}

export interface LoggedChange {
  kind: 'change'
  /** `servers`, `redact`, `purge`, `erase`, or what a later release writes. */
  what: string
  pos: number
  room: number | null
  /** Position of the event that a `redact` concerns, or an `erase` of one event; null: an `erase` of more, or of what retention had to spare. */
  target: number | null
  added: number[]
  removed: number[]
  /** When it was taken, ms since the epoch; null: by an older release. */
  at: number | null
}

export interface LoggedEdu extends StoredEdu {
  readonly kind: 'edu'
  readonly content: string
  readonly to: LoggedAudience
}

/** Whom it is for: the servers in a room, or in any of a set of rooms (`id`: that of the set), at its position, or exactly these. */
export type LoggedAudience =
  | { readonly room: number }
  | { readonly id: number; readonly rooms: readonly number[] }
  | { readonly list: readonly number[] }

export type LogEntry = LoggedEvent | LoggedEdu | LoggedChange

/** Identifies an entry: after a failover another entry at the same position has another mark. */
export interface EntryMark {
  pos: number
  what: string
}

export interface LogRead {
  after: number
  /** The newest entry at or before `after` (positions have holes); null: the log has none. */
  place: EntryMark | null
  entries: LogEntry[]
  /** Less than `after` where the log has become shorter than that. */
  upto: number
  /** There may be more at once. */
  more: boolean
}

// Each has the same columns: what all have, of events, of EDUs (their type stands where events have their id), of changes.
const NO_EVENT = 'null::boolean as sticky, null::boolean as odd, null::boolean as exact'
const NO_EDU =
  'null::boolean as durable, null::boolean as alone, null::bigint as expires_at, null::uuid as key, null::text as who, null::integer as set, null::int[] as rooms'
const NO_CHANGE = 'null::bigint as target, null::int[] as added, null::int[] as removed, null::bigint as at'
const CHANGE = `c.pos, c.kind, c.room, null as event_id, null as pdu, null::bigint as received_ts, ${NO_EVENT}, null::int[] as list, null::int[] as less,
            ${NO_EDU}, c.target, c.added, c.removed, c.at from changes c`
const NO_LISTS = 'null::int[] as list, null::int[] as less'

/**
 * What stands where a read begins is looked for among so many positions of EDUs at most: rows of those whose time is over are removed, and to find the
 * next one before them reads what is left of them in the index.
 */
const PLACE_WITHIN = 1_000

// $1 after, $2 limit, $3 bytes. What stands where it begins, then what comes after; each part alone could fill that.
const READ = sql(
  'follow the log',
  `select s.head, x.pos, x.kind, x.room, x.event_id, ${textWithin('$3', 'x')} as pdu, x.received_ts, x.sticky, x.odd,
         x.exact, x.list, x.less, x.durable, x.alone, x.expires_at, x.key, x.who, x.set, x.rooms, x.target, x.added, x.removed, x.at
    from stream s left join lateral (
    ((select e.pos, 'event' as kind, e.room, e.event_id, null::text as pdu, e.received_ts, ${NO_EVENT}, ${NO_LISTS}, ${NO_EDU}, ${NO_CHANGE}
        from events e where e.pos <= $1 order by e.pos desc limit 1)
     union all
     (select ${CHANGE} where c.pos <= $1 order by c.pos desc limit 1)
     union all
     (select u.pos, 'edu', u.room, u.type, null, u.received_ts, ${NO_EVENT}, ${NO_LISTS}, ${NO_EDU}, ${NO_CHANGE}
        from edus u where u.pos <= $1 and u.pos > $1 - ${PLACE_WITHIN} order by u.pos desc limit 1)
     order by pos desc limit 1)
    union all
    ((select e.pos, 'event', e.room, e.event_id, e.pdu, e.received_ts, e.sticky_until is not null, e.odd, r.exact, r.list, r.less,
             ${NO_EDU}, ${NO_CHANGE} from events e left join recipients r on r.id = e.recipients where e.pos > $1 order by e.pos limit $2)
     union all
     (select ${CHANGE} where c.pos > $1 order by c.pos limit $2)
     union all
     (select u.pos, 'edu', u.room, u.type, u.content, u.received_ts, ${NO_EVENT}, r.list, null, u.durable, u.alone, u.expires_at, u.key, u.who,
             u.rooms, o.rooms, ${NO_CHANGE}
        from edus u left join edu_rooms o on o.id = u.rooms left join recipients r on r.id = u.recipients
       where u.pos > $1 order by u.pos limit $2)
     order by pos limit $2)
    ) x on true order by x.pos`,
)

interface Row {
  head: number
  pos: number | null
  kind: string
  room: number | null
  event_id: string
  pdu: string | null
  received_ts: number
  sticky: boolean
  odd: boolean | null
  exact: boolean | null
  list: number[] | null
  less: number[] | null
  durable: boolean | null
  alone: boolean | null
  expires_at: number | null
  key: string | null
  who: string | null
  set: number | null
  rooms: number[] | null
  target: number | null
  added: number[] | null
  removed: number[] | null
  at: number | null
}

/** Reads at most a given number of entries after position `after`. */
export async function readLog(db: Db, after: number, most: Most): Promise<LogRead> {
  const { rows } = await db.query<Row>(READ, [after, most.rows, most.bytes])
  const there = rows.filter((row): row is Row & { pos: number } => row.pos !== null)
  const before = there.find(({ pos }) => pos <= after)
  const later = there.filter((row) => row !== before)
  const cut = later.findIndex(({ kind, pdu }) => (kind === 'event' || kind === 'edu') && pdu === null)
  const entries = (cut < 0 ? later : later.slice(0, cut)).map(entryOf)
  const more = cut >= 0 || later.length >= most.rows
  const head = rows[0]?.head ?? after
  const place = before === undefined ? null : markOf(entryOf(before))
  return { after, place, entries, more, upto: more ? (entries.at(-1)?.pos ?? after) : head }
}

/** It takes the text of the event at `target`, and nothing else. */
export const takesOneText = ({ what, target }: LoggedChange): boolean =>
  what === 'redact' || (what === 'erase' && target !== null)

/** After a failover the same event or EDU can get the same position again, so its time is part of the mark. */
export function markOf(entry: LogEntry): EntryMark {
  const { pos } = entry
  if (entry.kind === 'event') return { pos, what: `${entry.eventId} ${entry.receivedTs}` }
  if (entry.kind === 'edu') return { pos, what: `${entry.eduType} ${entry.receivedTs}` }
  const { what, room, target, added, removed, at } = entry
  return { pos, what: [what, room, target, added.join(), removed.join(), at].join(' ') }
}

function entryOf(row: Row & { pos: number }): LogEntry {
  const { pos, kind, room, target, added, removed, at } = row
  if (kind === 'edu') return eduOf(row)
  if (kind !== 'event')
    return { kind: 'change', what: kind, pos, room, target, added: added ?? [], removed: removed ?? [], at }
  const { event_id: eventId, received_ts: receivedTs, sticky, exact, list, less } = row
  const addressed = exact === null ? null : { exact, list: list ?? [], less: less ?? [] }
  return {
    kind: 'event',
    pos,
    room: room ?? 0,
    eventId,
    pdu: row.pdu ?? '',
    receivedTs,
    sticky,
    odd: row.odd === true,
    addressed,
  }
}

function eduOf(row: Row & { pos: number }): LoggedEdu {
  const { pos, room, pdu, key, who, set, rooms, list } = row
  const to = room !== null ? { room } : set !== null ? { id: set, rooms: rooms ?? [] } : { list: list ?? [] }
  return {
    kind: 'edu',
    pos,
    eduType: row.event_id,
    content: pdu ?? '',
    receivedTs: row.received_ts,
    expiresAt: row.expires_at,
    durable: row.durable === true,
    alone: row.alone === true,
    key,
    who,
    to,
  }
}
