/**
 * Durable EDUs that are out of their lane, as the destination refuses them (contract 5.9): set aside, or out of the way with nothing concluded.
 *
 * Always: the cursor of their lane is past them, so a row here is all that says that one is owed. It goes in the commit that says why.
 */
import type { Db } from '../db.ts'
import { holding } from '../held.ts'
import type { Isolation } from '../isolation.ts'
import { sql } from '../statement.ts'
import type { StoredEdu } from './edus.ts'
import type { EduCursors, Held } from './leases.ts'

export interface EduApart {
  readonly pos: number
  readonly sure: boolean
  /** How often it was tried since it was taken out. */
  readonly tries: number
  /** Ms since the epoch. */
  readonly nextAt: number
  /** Null: it is older than durable ones are kept. */
  readonly edu: StoredEdu | null
}

/** That are read at once: those that are due first. */
const MOST = 100

const READ = sql(
  'read EDUs that are apart',
  `select a.pos, a.sure, a.tries, a.next_at, e.type, e.received_ts, e.expires_at, e.alone, e.key, e.who,
         case when row_number() over (order by a.next_at, a.pos) = 1 then e.content end as content
    from edus_apart a left join edus e on e.pos = a.pos where a.destination = $1 order by a.next_at, a.pos limit $2`,
)

interface Row {
  pos: number
  sure: boolean
  tries: number
  next_at: number
  type: string | null
  content: string | null
  received_ts: number
  expires_at: number | null
  alone: boolean | null
  key: string | null
  who: string | null
}

/** In the order in which they are due; the first has its text. */
export async function readEdusApart(db: Db, destination: number): Promise<EduApart[]> {
  const { rows } = await db.query<Row>(READ, [destination, MOST])
  return rows.map(({ pos, sure, tries, next_at: nextAt, type, content, key, who, ...row }) => ({
    ...{ pos, sure, tries, nextAt },
    edu:
      type === null
        ? null
        : {
            ...{ pos, eduType: type, content, key, who, durable: true, alone: row.alone === true },
            ...{ receivedTs: row.received_ts, expiresAt: row.expires_at },
          },
  }))
}

const TRIES = sql(
  'how often was an EDU tried',
  'select tries from edus_apart where destination = $1 and pos = $2',
)

/** Since it was taken out; 0: it is apart no more. */
export async function triesOfEdu(db: Db, destination: number, pos: number): Promise<number> {
  return (await db.query<{ tries: number }>(TRIES, [destination, pos])).rows[0]?.tries ?? 0
}

const DOUBTFUL = sql(
  'how many EDUs are apart in doubt',
  'select count(*)::int as n from edus_apart where destination = $1 and not sure',
)

/** Those out of the way with nothing concluded. */
export async function countDoubtfulEdus(db: Db, destination: number): Promise<number> {
  return (await db.query<{ n: number }>(DOUBTFUL, [destination])).rows[0]?.n ?? 0
}

// $1 worker, $2 fence, $3 destination, $4 the transaction, $5 and $6 the cursors after it, $7 the EDU that is durable (null: it is not), $8 whether it is set aside,
// $9 now, $10 when it is tried again, $11 and $12 what was answered.
const TAKE_OUT = sql(
  'take an EDU out of its lane',
  `${holding()}, ended as (
    delete from open_transactions o using held h where o.destination = h.id and o.txn_id = $4 and not o.void returning o.destination
  ), moved as (
    update destinations d set durable_pos = greatest(d.durable_pos, $5), ephemeral_pos = greatest(d.ephemeral_pos, $6)
      from ended x where d.id = x.destination
  ), taken as (
    insert into edus_apart (destination, pos, since, sure, next_at, status, message)
    select destination, $7::bigint, $9, $8, $10, $11, $12 from ended where $7::bigint is not null
    on conflict (destination, pos) do nothing
  )
  select count(*)::int as n from ended`,
)

export interface TakenOut {
  readonly txnId: string
  readonly cursors: EduCursors
  /** Null: it is not durable, and given up. */
  readonly pos: number | null
  readonly sure: boolean
  readonly now: number
  readonly nextAt: number
  readonly status: number | null
  readonly message: string
}

/** Ends the transaction that was refused; its one EDU is out of its lane. False: it is not open any more, or the lease is over. */
export async function takeOutEdu(
  db: Db,
  { worker, fence, destination }: Held,
  { txnId, cursors, pos, sure, now, nextAt, status, message }: TakenOut,
): Promise<boolean> {
  const { rows } = await db.query<{ n: number }>(TAKE_OUT, [
    ...[worker, fence, destination, txnId, cursors.durable, cursors.ephemeral, pos, sure, now, nextAt],
    ...[status, message],
  ])
  return rows[0]?.n === 1
}

const TRIED = sql(
  'note that an EDU is refused',
  'update edus_apart set tries = tries + 1, next_at = $3, status = $4, message = $5 where destination = $1 and pos = $2',
)

/** It was refused again. The caller's transaction holds the destination's row. */
export async function noteRefusedEdu(
  db: Db,
  destination: number,
  { pos, nextAt, status, message }: { pos: number; nextAt: number; status: number | null; message: string },
): Promise<void> {
  await db.query(TRIED, [destination, pos, nextAt, status, message])
}

const END = sql(
  'EDUs are apart no more',
  'delete from edus_apart where destination = $1 and pos = any($2::bigint[])',
)

/** The destination has them, or they are given up. */
export async function endEdusApart(db: Db, destination: number, positions: readonly number[]): Promise<void> {
  if (positions.length > 0) await db.query(END, [destination, positions])
}

const BELIEVE = sql(
  'EDUs are set aside for good',
  'update edus_apart set sure = true where destination = $1 and not sure',
)

/** Something else was answered 200 since: what is out of the way was refused for its own sake. */
export async function believeEdusApart(db: Db, destination: number): Promise<void> {
  await db.query(BELIEVE, [destination])
}

const DUE = sql(
  'EDUs that are apart are due',
  'update edus_apart set next_at = $2 where destination = $1 and next_at > $2',
)

/** All of them are tried again at once. */
export async function makeEdusDue(db: Db, destination: number, now: number): Promise<void> {
  await db.query(DUE, [destination, now])
}

const NOTHING = sql(
  'no EDU is apart any more',
  `${holding()} update destinations d set isolation = $4 from held h
    where d.id = h.id and not exists (select 1 from edus_apart a where a.destination = $3)`,
)

/** What is known of its refusals besides. */
export async function noteNoEduApart(
  db: Db,
  { worker, fence, destination }: Held,
  isolation: Isolation | null,
): Promise<void> {
  await db.query(NOTHING, [worker, fence, destination, isolation === null ? null : JSON.stringify(isolation)])
}
