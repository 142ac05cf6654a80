/**
 * What an operator does to many destinations by one command.
 *
 * What takes from nobody's time (a pause, a resume) is done at once. What has destinations tried is planned: a row for each, due one after
 * the other, `perSecond` of them in a second, whatever was planned before. Every process that delivers carries out what is due; a row goes in the
 * commit that does it, so that a crash in the middle neither loses an act nor repeats one.
 */
import type { ServerName } from '../../matrix/ids.ts'
import { inTransaction, type Db, type Pool } from '../db.ts'
import { sql } from '../statement.ts'
import { wishManyToSkip } from './skips.ts'
import { wishOfMany, type Wish } from './wishes.ts'

/** One that a glob may mean. */
export interface Matchable {
  id: number
  name: ServerName
  paused: boolean
  /** It asked for no requests (`Retry-After`) until a time that is to come. */
  held: boolean
}

const ALL = sql(
  'read whom a glob may mean',
  `select id, name, paused, hold_kind is not distinct from 'retry_after' and coalesce(hold_until, 0) > n.now as held
    from destinations, (select now_ms() as now offset 0) n order by name`,
)

/** All destinations, in the order of their names. */
export async function readMatchable(db: Db): Promise<Matchable[]> {
  return (await db.query<Matchable>(ALL)).rows
}

const NOTE = sql(
  'note an act by glob',
  'insert into audit (at, who, action, target, matched) values (now_ms(), $1, $2, $3, $4)',
)

/** One that is due later than this, ms, was planned by a clock that was wrong: it is due now, behind the others. */
const LATEST_MS = 3_600_000

// $1 destinations, $2 action, $3 who, $4 how many in a second. Where the action is already planned for a destination, the earlier of the two times counts.
// With nothing planned greatest() gives the other value, as it should.
const PLAN = sql(
  'plan acts',
  `insert into planned_acts (destination, action, who, due_at, upto)
   select i.destination, $2, $3, greatest(n.now, l.last + 1000 / $4::int) + (i.place - 1) * 1000 / $4::int, s.head
     from unnest($1::int[]) with ordinality i (destination, place)
    cross join (select now_ms() as now offset 0) n
    cross join lateral (select max(due_at) as last from planned_acts where due_at <= n.now + ${LATEST_MS}) l
    cross join stream s
   order by i.destination
   on conflict (destination, action) do update
      set who = excluded.who, due_at = least(planned_acts.due_at, excluded.due_at), upto = excluded.upto`,
)

export interface ManyActs {
  action: Wish | 'skip'
  /** As the operator wrote it. */
  glob: string
  /** The name of the operator's token. */
  who: string
  destinations: readonly number[]
  perSecond: number
}

const isImmediate = (action: Wish | 'skip') => action === 'pause' || action === 'resume'

/** Does it, or plans it, and notes that an operator did; all in one commit. */
export async function actOnMany(
  pool: Pool,
  { action, glob, who, destinations, perSecond }: ManyActs,
): Promise<void> {
  const inOrder = destinations.toSorted((a, b) => a - b)
  await inTransaction(pool, async (db) => {
    await db.query(NOTE, [who, action, glob, inOrder.length])
    if (isImmediate(action)) await wishOfMany(db, action, inOrder)
    else await db.query(PLAN, [inOrder, action, who, perSecond])
  })
}

const DUE = `due_at <= (select now_ms()) or due_at > (select now_ms()) + ${LATEST_MS}`

/** SQL: gives a row where something is due. Asked with who is due, so that nothing is asked twice a second for what operators do twice a year. */
export const ACT_IS_DUE = `select from planned_acts where ${DUE}`

// Two processes take others: neither waits for what the other has.
const TAKE = sql(
  'take acts that are due',
  `delete from planned_acts p using (
     select destination, action from planned_acts where ${DUE}
      order by due_at, destination limit $1 for update skip locked
   ) d where p.destination = d.destination and p.action = d.action
   returning p.destination, p.action, p.who, p.upto`,
)

interface PlannedRow {
  destination: number
  action: Wish | 'skip'
  who: string
  upto: number
}

/** Carries out what is due (`ACT_IS_DUE`), at most `most` of it. Who was paused, or asked for no requests, since then is not woken. */
export async function carryOutPlanned(pool: Pool, most: number): Promise<void> {
  await inTransaction(pool, async (db) => {
    const taken = (await db.query<PlannedRow>(TAKE, [most])).rows
    for (const action of new Set(taken.map((row) => row.action))) {
      const them = taken.filter((row) => row.action === action)
      if (action === 'skip') await wishManyToSkip(db, them)
      else
        await wishOfMany(
          db,
          action,
          them.map(({ destination }) => destination),
        )
    }
  })
}
