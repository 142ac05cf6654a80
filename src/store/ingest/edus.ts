/**
 * Writes EDUs, and the sets of rooms whose servers they are for.
 *
 * It runs inside the transaction that holds the stream's lock. Always: a row of an EDU is written once and never changed. Sets are looked up by
 * their hash and are not locked, so who removes one must hold the right to append.
 */
import type { Db } from '../db.ts'
import { planByKey } from '../prepare.ts'
import { sql } from '../statement.ts'

export interface StagedEdu {
  pos: number
  type: string
  /** Canonical JSON. */
  content: string
  /** Ms since the epoch; null: as long as durable ones are kept. */
  expiresAt: number | null
  durable: boolean
  /** It is sent in a transaction of its own. */
  alone: boolean
  /** A uuid: a later one with the same replaces it; null: nothing does. */
  key: string | null
  /** The user of a device list, the id of a message to devices. */
  who: string | null
  to: EduAudience
}

/** The servers in a room, those in a set of rooms (its hash), those on a list (its hash). */
export type EduAudience =
  { readonly room: number } | { readonly rooms: string } | { readonly recipients: string }

export interface StagedEdus {
  rows: StagedEdu[]
  /** By their hash: two rooms or more, sorted. */
  roomSets: Map<string, readonly number[]>
}

// No other append runs. A set that is there is only read: to write it again for each EDU would cost more than the EDU.
const STORE_SETS = sql(
  'store sets of rooms',
  `with given as materialized (
    select t->>'hash' as hash, array(select jsonb_array_elements_text(t->'rooms')::int) as rooms from jsonb_array_elements($1::jsonb) t
  ), there as materialized (
    select e.hash, e.id from edu_rooms e where e.hash in (select hash from given)
  ), made as (
    insert into edu_rooms (hash, rooms) select hash, rooms from given where hash not in (select hash from there) returning hash, id
  )
  select hash, id from there union all select hash, id from made`,
)

const INSERT = sql(
  'insert EDUs',
  `with heads as (
    update stream set durable_head = greatest(durable_head, $13), edu_head = greatest(edu_head, $14)
  )
  insert into edus (pos, type, content, received_ts, expires_at, durable, alone, key, who, room, rooms, recipients)
  select pos, type, content, $12, expires_at, durable, alone, key, who, room, rooms, recipients
    from unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::boolean[], $7::uuid[], $8::text[],
                $9::int[], $10::int[], $11::int[])
      as t (pos, type, content, expires_at, durable, alone, key, who, room, rooms, recipients)`,
)

/** `recipientIds`: the lists that they are addressed to, by hash; `now`: when they were received, ms since the epoch. */
export async function writeEdus(
  db: Db,
  { rows, roomSets }: StagedEdus,
  { recipientIds, now }: { recipientIds: ReadonlyMap<string, number>; now: number },
): Promise<void> {
  if (rows.length === 0) return
  const setIds = await storeSets(db, roomSets)
  await db.query(INSERT, [
    rows.map(({ pos }) => pos),
    rows.map(({ type }) => type),
    rows.map(({ content }) => content),
    rows.map(({ expiresAt }) => expiresAt),
    rows.map(({ durable }) => durable),
    rows.map(({ alone }) => alone || null),
    rows.map(({ key }) => key),
    rows.map(({ who }) => who),
    rows.map(({ to }) => ('room' in to ? to.room : null)),
    rows.map(({ to }) => ('rooms' in to ? idOf(setIds, to.rooms) : null)),
    rows.map(({ to }) => ('recipients' in to ? idOf(recipientIds, to.recipients) : null)),
    now,
    headOf(rows, true),
    headOf(rows, false),
  ])
}

/** Of rows in the order of their positions; 0: there is none. */
const headOf = (rows: readonly StagedEdu[], durable: boolean): number =>
  rows.findLast((row) => row.durable === durable)?.pos ?? 0

async function storeSets(db: Db, sets: StagedEdus['roomSets']): Promise<Map<string, number>> {
  if (sets.size === 0) return new Map()
  const given = [...sets].map(([hash, rooms]) => ({ hash, rooms }))
  const { rows } = await db.query<{ hash: string; id: number }>(planByKey(sets.size, STORE_SETS), [
    JSON.stringify(given),
  ])
  return new Map(rows.map(({ hash, id }) => [hash, id]))
}

/** An EDU for nobody must not be stored. */
function idOf(ids: ReadonlyMap<string, number>, hash: string): number {
  const id = ids.get(hash)
  if (id === undefined) throw new Error('an EDU is for servers that were not stored')
  return id
}
