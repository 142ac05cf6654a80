/**
 * What an operator does with what is set aside, or with a room that is held: has it tried, or gives it up (contract 5.9).
 *
 * The holder may be sending it, or just be writing down what came of that. So each act first locks the destination's row, as every write of a
 * holder does. Always: what was planned before a drop is not frozen after it (`narrowed_seq`); an unanswered transaction with what was dropped
 * is void, and what else it held is planned anew; and no lane has what was dropped again, also where its place is still ahead of the position.
 */
import { noteAct } from '../audit.ts'
import { inTransaction, type Db, type Pool } from '../db.ts'
import { addToCounter } from '../ingest/content.ts'
import { OF_ITS_ROOM, SET_ASIDE } from '../set-aside.ts'
import { sql, type Sql } from '../statement.ts'
import { NO_SUSPECT } from './apart.ts'

/** What an id of the quarantine names (`views/quarantine.ts`). */
export type Named = { kind: 'pdu' | 'edu'; pos: number } | { kind: 'room'; room: number }

/** @returns null for what is no id */
export function parseQuarantineId(id: string): Named | null {
  const [, kind, digits] = /^(pdu|edu|room)-([1-9]\d{0,14})$/.exec(id) ?? []
  const number = Number(digits)
  if (kind === 'pdu' || kind === 'edu') return { kind, pos: number }
  return kind === 'room' && number < 2 ** 31 ? { kind, room: number } : null
}

export interface QuarantineAct {
  /** Of the destination. */
  name: string
  /** As the operator gave it. */
  id: string
  named: Named
  /** The name of the operator's token. */
  who: string
}

/** `queue`: the one to which its next turn belongs. `unknown`: the destination has no such thing, or no more. */
export type QuarantineActed =
  | { kind: 'done'; queue: 'delivery' | 'recovery'; givenUp: number }
  | { kind: 'unknown' }
  | { kind: 'paused' }
  | { kind: 'embargo'; until: number }

// The row is locked until the commit: whatever its holder writes has come before, or comes after it.
const LOCK = sql(
  'lock whose quarantine it is',
  `select d.id, d.quick, d.paused,
         case when d.hold_kind = 'retry_after' and d.hold_until > now_ms() then d.hold_until end as embargo
    from destinations d where d.name = $1 for update of d`,
)

interface Locked {
  id: number
  quick: boolean
  paused: boolean
  embargo: number | null
}

const TRY_PDU = sql(
  'try what is set aside',
  `update apart a set next_at = now_ms() where a.destination = $1 and a.pos = $2 and ${SET_ASIDE}`,
)

const TRY_ROOM = sql(
  'try a held room',
  'update waiting_rooms set next_at = now_ms() where destination = $1 and room = $2 and held_since is not null',
)

const TRY_EDU = sql(
  'try an EDU that is set aside',
  'update edus_apart set next_at = now_ms() where destination = $1 and pos = $2 and sure',
)

// As a wake. $2 who, $3 the target of the act.
const TRIED = sql(
  'wish for a try of what is set aside',
  `with done as (
    update destinations d set wake_seq = wake_seq + 1, asked_at = now_ms(), look_at = now_ms() where d.id = $1 returning d.id
  )
  ${noteAct('$2', "'quarantine retry'", '$3', 'done')}`,
)

/** It is tried now, as by a wake: not where that is paused, or asked for no requests. */
export function tryNow(pool: Pool, act: QuarantineAct): Promise<QuarantineActed> {
  return inTransaction(pool, async (db) => {
    const locked = await lock(db, act.name)
    if (locked === null) return { kind: 'unknown' }
    if (locked.paused) return { kind: 'paused' }
    if (locked.embargo !== null) return { kind: 'embargo', until: locked.embargo }
    const { named } = act
    const { rowCount } =
      named.kind === 'room'
        ? await db.query(TRY_ROOM, [locked.id, named.room])
        : await db.query(named.kind === 'pdu' ? TRY_PDU : TRY_EDU, [locked.id, named.pos])
    if (rowCount !== 1) return { kind: 'unknown' }
    await db.query(TRIED, [locked.id, act.who, `${act.name} ${act.id}`])
    return { kind: 'done', queue: queueOf(locked), givenUp: 0 }
  })
}

// $1 destination, $2 who. A lane may still come to it: a replay, or what is not sticky any more, is ahead of the position. So it counts as sent there.
const dropped = (which: string) => `
  with gone as (
    delete from apart a where a.destination = $1 and ${which} returning a.pos
  ), noted as (
    insert into given_up (destination, pos, who, at) select $1, g.pos, $2, now_ms() from gone g order by g.pos
    on conflict (destination, pos) do update set who = excluded.who, at = excluded.at
  ), passed as (
    insert into replays (destination, pos, state, listed_at, expires_at, at)
    select $1, g.pos, 'sent', (select head from stream), coalesce(s.expires_at, now_ms()), now_ms()
      from gone g left join sticky s on s.pos = g.pos order by g.pos
    on conflict (destination, pos) do update
       set state = 'sent', listed_at = excluded.listed_at, tries = 0, next_at = null, at = excluded.at
  ), ended as (
    update open_transactions o set void = true
     where o.destination = $1 and not o.void and o.positions && array(select g.pos from gone g)
  )
  select count(*) as n from gone`

const DROP_PDU = sql('drop what is set aside', dropped(`a.pos = $3 and ${SET_ASIDE}`))

// $1 destination, $2 who. Its lane is past it, so its row was all that said that it is owed.
const DROP_EDU = sql(
  'drop an EDU that is set aside',
  `with gone as (
    delete from edus_apart a where a.destination = $1 and a.pos = $3 and a.sure returning a.pos
  ), noted as (
    insert into given_up (destination, pos, who, at) select $1, g.pos, $2, now_ms() from gone g
    on conflict (destination, pos) do update set who = excluded.who, at = excluded.at
  ), ended as (
    update open_transactions o set void = true from gone g
     where o.destination = $1 and not o.void and o.edu_txn = o.txn_id and g.pos = any(o.edu_positions)
  )
  select count(*) as n from gone`,
)

/** With its room, and never in what was refused: it waits there because the log went on without it. */
const NEVER_REFUSED = `${OF_ITS_ROOM} and a.message is null`

const DROP_ROOM = sql(
  'drop what is set aside of a held room',
  dropped(`a.room = $3 and ${OF_ITS_ROOM} and not (${NEVER_REFUSED}) and exists (
       select 1 from waiting_rooms w where w.destination = $1 and w.room = $3 and w.held_since is not null)`),
)

// What is left of it goes out first, together; then the room goes on behind it.
const LET_GO = sql(
  'hold a dropped room no more',
  `with went as (
    update waiting_rooms set held_since = null, tries = 0, next_at = null
     where destination = $1 and room = $2 and held_since is not null returning room
  ), left_over as (
    update apart a set tries = ${NO_SUSPECT}, grp = coalesce((select max(x.grp) from apart x where x.destination = $1), 0) + 1
      from went w where a.destination = $1 and a.room = w.room and ${NEVER_REFUSED}
  )
  select room from went`,
)

// $2 who, $3 the target of the act.
const DROPPED = sql(
  'wish for a look after a drop',
  `with done as (
    update destinations d set wake_seq = wake_seq + 1, narrowed_seq = narrowed_seq + 1, look_at = now_ms() where d.id = $1
    returning d.id
  )
  ${noteAct('$2', "'quarantine drop'", '$3', 'done')}`,
)

/** Gives it up; of a held room all that was refused of it, and the rest of the room goes on. */
export function giveUpNow(pool: Pool, act: QuarantineAct): Promise<QuarantineActed> {
  return inTransaction(pool, async (db) => {
    const locked = await lock(db, act.name)
    if (locked === null) return { kind: 'unknown' }
    const { named, who } = act
    const [statement, values] = dropOf(locked.id, named, who)
    const givenUp = (await db.query<{ n: number }>(statement, values)).rows[0]?.n ?? 0
    const isThere =
      named.kind !== 'room'
        ? givenUp === 1
        : (await db.query(LET_GO, [locked.id, named.room])).rows.length === 1
    if (!isThere) return { kind: 'unknown' }
    await db.query(DROPPED, [locked.id, who, `${act.name} ${act.id}`])
    await addToCounter(db, 'given_up:operator', givenUp)
    return { kind: 'done', queue: queueOf(locked), givenUp }
  })
}

function dropOf(destination: number, named: Named, who: string): [Sql, unknown[]] {
  if (named.kind === 'room') return [DROP_ROOM, [destination, who, named.room]]
  return [named.kind === 'pdu' ? DROP_PDU : DROP_EDU, [destination, who, named.pos]]
}

async function lock(db: Db, name: string): Promise<Locked | null> {
  return (await db.query<Locked>(LOCK, [name])).rows[0] ?? null
}

const queueOf = ({ quick }: Locked) => (quick ? ('delivery' as const) : ('recovery' as const))

// Durable EDUs are kept for longer than the log.
const FORGET = sql(
  'forget what was given up',
  `delete from given_up g where g.pos <= (select log_floor from stream) and not exists (select from edus e where e.pos = g.pos)`,
)

/** Forgets that of which nothing is stored any more. */
export async function forgetGivenUp(db: Db): Promise<void> {
  await db.query(FORGET)
}
