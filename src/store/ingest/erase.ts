/**
 * Erases events: their rows go from the log and from what is kept of it, and nothing takes their places.
 *
 * Always: the caller holds the content lock until its commit, and has marked every open transaction that carries one of them as void
 * (`holders.ts`). Their ids stay known, so a repeat does not bring them back, and a change of the log says which they were.
 *
 * There is no index on senders: each event would pay for it at ingest, and a sender is erased once. So the log is read through, before
 * anything is locked; what came since is looked up under the stream's lock (docs/decisions/0026).
 */
import type { Db } from '../db.ts'
import { planFor } from '../prepare.ts'
import { readHead } from '../stream.ts'
import { sql } from '../statement.ts'

/** An event that is stored. */
export interface StoredPlace {
  pos: number
  room: number
}

export type BySender = Map<string, StoredPlace[]>

// $1 after, $2 up to, $3 senders. What is kept of the log may be in both tables.
const OF_SENDERS = sql(
  'what is stored of senders',
  `select pos, room, sender from events where pos > $1 and pos <= $2 and sender = any($3)
   union
  select pos, room, sender from kept_events where pos > $1 and pos <= $2 and sender = any($3)`,
)

const FIRST = sql(
  'where does what is stored begin',
  `select least((select min(pos) from events), (select min(pos) from kept_events)) as first`,
)

/** Positions that are read through at once: no snapshot is old, and no statement long. */
const WINDOW = 100_000

/** Events of `senders` after `after`, up to `upto`. */
export async function storedOf(
  db: Db,
  senders: readonly string[],
  { after, upto }: { after: number; upto: number },
): Promise<BySender> {
  const found: BySender = new Map(senders.map((sender) => [sender, []]))
  for (let from = after; from < upto; from += WINDOW) {
    const values = [from, Math.min(upto, from + WINDOW), senders]
    const { rows } = await db.query<StoredPlace & { sender: string }>(OF_SENDERS, values)
    for (const { pos, room, sender } of rows) found.get(sender)?.push({ pos, room })
  }
  return found
}

/** Events of senders up to `upto`, the head of that moment. */
export interface StoredAhead {
  upto: number
  of: BySender
}

/** Reads the log through; without any lock. */
export async function storedAhead(db: Db, senders: readonly string[]): Promise<StoredAhead> {
  const upto = await readHead(db)
  const { rows } = await db.query<{ first: number | null }>(FIRST)
  const first = rows[0]?.first ?? upto + 1
  return { upto, of: await storedOf(db, senders, { after: first - 1, upto }) }
}

export interface Erasure {
  /** Its own position. */
  pos: number
  erased: readonly StoredPlace[]
  /** Whose events they are; null: they were named. */
  sender: string | null
}

// $1 positions, $2 whose events these are (null: whose does not matter), $3 the changes. Whose they are is asked once more: the database may have
// failed over since the log was read through.
const ERASE = sql(
  'erase',
  `with given as materialized (
    select * from unnest($1::bigint[], $2::text[]) t (pos, sender)
  ), logged as (
    delete from events e using given t where e.pos = t.pos and (t.sender is null or e.sender = t.sender) returning e.pos
  ), kept as (
    delete from kept_events k using given t where k.pos = t.pos and (t.sender is null or k.sender = t.sender) returning k.pos
  ), lives as (
    delete from sticky s using (select pos from logged union select pos from kept) g where s.pos = g.pos
  ), apart as (
    delete from apart a using (select pos from logged union select pos from kept) g where a.pos = g.pos
  )
  insert into changes (pos, kind, target, erased)
  select (t->>'pos')::bigint, 'erase', (t->>'target')::bigint, array(select jsonb_array_elements_text(t->'erased')::bigint)
    from jsonb_array_elements($3::jsonb) t`,
)

/** Each at its own position; the events were written before. */
export async function eraseEvents(db: Db, erasures: readonly Erasure[]): Promise<void> {
  if (erasures.length === 0) return
  const places = erasures.flatMap(({ erased, sender }) => erased.map(({ pos }) => ({ pos, sender })))
  const changes = erasures.map(({ pos, erased }) => ({
    pos,
    // A follower that has nothing of a single event need not look.
    target: erased.length === 1 ? (erased[0]?.pos ?? null) : null,
    erased: erased.map((one) => one.pos),
  }))
  await db.query(planFor(places.length, ERASE), [
    places.map(({ pos }) => pos),
    places.map(({ sender }) => sender),
    JSON.stringify(changes),
  ])
}
