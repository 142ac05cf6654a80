/**
 * SQL: which of the stored EDUs are for a destination? Each at its own position, so it does not matter when this is asked: an EDU of a room, or of one
 * of several rooms, if the destination was in it then; one with a list if it is on that.
 *
 * All statements take $1 destination, $2 after, $3 up to, and read a window of rows, so that what they cost does not grow with what is for others; how far
 * they have read is `upto`. A destination's memberships are read once for all rows of a window: a probe for each row reads more pages.
 */
import { heldAt } from '../entitled.ts'
import { textWithin } from '../within-bytes.ts'

const COLUMNS = 'pos, type, content, received_ts, expires_at, alone, key, who'
const ALL_COLUMNS = `${COLUMNS}, durable, room, rooms, recipients`
const RANGE = 'e.pos > $2 and e.pos <= $3'

/** The sets of rooms that rows `w` name. Each is read once: before there are statistics, each row would read its own. */
const SETS =
  's as materialized (select e.id, e.rooms from edu_rooms e where e.id = any(array(select distinct w.rooms from w where w.rooms is not null)))'
const MEMBERSHIPS =
  'm as materialized (select m.room, m.since, m.until from memberships m where m.destination = $1 and (m.until is null or m.until > $2))'

/**
 * Rows `w` of a window, its end `u`, the sets of rooms `s` that it names, and the memberships `m` that do not end before it. That they begin before its end is not asked here: PostgreSQL 18
 * would look for that in each room of the index that begins with rooms.
 */
const windowOf = (which: string, rows: number, columns = ALL_COLUMNS) => `
  w as materialized (select ${columns} from edus e where ${which} and ${RANGE} order by e.pos limit ${rows}),
  u as materialized (select case when count(*) = ${rows} then max(w.pos) else $3 end as upto from w),
  ${SETS},
  ${MEMBERSHIPS}`

const BY_ROOM = `select w.pos from w join m on m.room = w.room where ${heldAt('w.pos')}`
const BY_SET = `
    select w.pos from w join s on s.id = w.rooms cross join lateral unnest(s.rooms) x (room) join m on m.room = x.room
     where ${heldAt('w.pos')}`
/** The lists with the destination on them, and with something newer than what it has had. */
const listsSince = (head: 'durable_head' | 'edu_head') =>
  `select r.id from recipients r where r.list @> array[$1::integer] and r.${head} > $2`

/** What is addressed by the lists `l`, each in its order, as far as `upto`, an expression. The index is walked as that of rooms (`timeline.ts`). */
const onList = (columns: string, durable: boolean, upto: string) => `
      select ${columns} from edus e
       where ${durable ? '' : 'not '}e.durable and e.recipients is not null
         and e.recipients = l.id and (e.recipients, e.pos) > (l.id, $2) and e.pos <= ${upto}
       order by e.pos`

// $4 rows, $5 bytes.
const texts = (found: string) => `
  select u.upto, e.pos, e.type, ${textWithin('$5', 'e', 'content')} as content, e.received_ts, e.expires_at, e.alone, e.key, e.who
    from u left join (${found}) e on true order by e.pos`

/** Rows of a window, some twenty on a page. */
const WINDOW = 2_000
/** Of durable ones that rooms have, each on a page of its own among the others; or all of so many positions, some twenty on a page where they lie close together. */
const DURABLE_WINDOW = 100
const DURABLE_SPAN = 1_000
/** Of those of sets of rooms, some pages apart. */
const SETS_WINDOW = 1_000
/** Of what a question reads. */
const FEW = 64

/** Forwards: whatever the window holds. Durable ones count as rows of it, so that a flood of them is not read through at once. */
export const EPHEMERAL = `
  with ${windowOf('true', WINDOW)}
  ${texts(`
    select ${COLUMNS} from w
     where not w.durable and (w.pos in (${BY_ROOM}) or w.pos in (${BY_SET}) or w.recipients in (${listsSince('edu_head')}))
     order by w.pos limit $4`)}`

/** Each room's and each list's by themselves; of sets of rooms a window, as no index leads from a room to them. */
export const EPHEMERAL_BY_ROOMS = `
  with ${windowOf('e.rooms is not null and not e.durable', SETS_WINDOW, 'pos, rooms')},
  l as materialized (${listsSince('edu_head')}),
  found as (
    select x.pos from u cross join m cross join lateral (
      select e.pos from edus e
       where not e.durable and e.room is not null
         and e.room = m.room and (e.room, e.pos) > (m.room, greatest(m.since, $2)) and e.pos <= least(coalesce(m.until, u.upto), u.upto)
       order by e.pos limit $4) x
    union
    ${BY_SET}
    union
    select x.pos from u cross join l cross join lateral (${onList('e.pos', false, 'u.upto')} limit $4) x
    order by pos limit $4)
  ${texts(`select ${COLUMNS} from edus where pos = any(array(select pos from found))`)}`

/** As `windowOf`. The end is found in the index alone. */
const DURABLE_WINDOW_OF_ROOMS = `
  u as materialized (
    select least($3, greatest($2 + ${DURABLE_SPAN}, coalesce(
      (select e.pos from edus e where e.durable and e.recipients is null and ${RANGE} order by e.pos offset ${DURABLE_WINDOW - 1} limit 1), $3))) as upto
  ), w as materialized (
    select ${ALL_COLUMNS} from edus e where e.durable and e.recipients is null and e.pos > $2 and e.pos <= (select upto from u)
  ), ${SETS}, ${MEMBERSHIPS}`

/** A window of those of rooms, and list by list: first up to where, from the indexes alone, then the rows up to there. */
export const DURABLE = `
  with ${DURABLE_WINDOW_OF_ROOMS},
  l as materialized (${listsSince('durable_head')}),
  inside as materialized (select w.pos from w where w.pos in (${BY_ROOM}) or w.pos in (${BY_SET})),
  next as materialized (
    select null::integer as list, pos from inside
    union all
    select l.id, x.pos from u cross join l cross join lateral (${onList('e.pos', true, 'u.upto')} limit $4) x
    order by pos limit $4)
  ${texts(`
    select ${COLUMNS} from w where w.pos in (select pos from next where list is null)
    union all
    select x.* from (select list as id, max(pos) as upto from next where list is not null group by list) l
     cross join lateral (${onList(COLUMNS, true, 'l.upto')}) x`)}`

/** Is there anything on its lists, else in a window of what rooms have? Behind that it is not known, and said to be so. */
export const IS_DURABLE = `
  with ${windowOf('e.durable and e.recipients is null', FEW)},
  l as materialized (${listsSince('durable_head')})
  select case when exists (select from l cross join lateral (${onList('e.pos', true, '$3')} limit 1) x) then true
              when exists (select from w where w.pos in (${BY_ROOM}) or w.pos in (${BY_SET})) then true
              else (select upto from u) < $3 end as owed`
export const IS_EPHEMERAL = `
  with ${windowOf('true', FEW)},
  l as materialized (${listsSince('edu_head')})
  select case when exists (select from l cross join lateral (${onList('e.pos', false, '$3')} limit 1) x) then true
              when exists (select from w where not w.durable and (w.pos in (${BY_ROOM}) or w.pos in (${BY_SET}))) then true
              else (select upto from u) < $3 end as owed`
