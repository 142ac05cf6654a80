/**
 * Which EDUs has a destination still to get? Two lanes beside its timeline, durable ones and the others, each with a cursor of its own.
 *
 * A reading is a beginning of the lane: all that is for the destination after the cursor up to `upto`, in the order of positions. What is not for it is passed.
 * Durable ones are found by the lists that it is on, and in a window of what rooms have. The others are read forwards in a window; where that holds little,
 * room by room and list by list.
 */
import type { Db } from '../db.ts'
import { sql, type Sql } from '../statement.ts'
import type { Most } from '../within-bytes.ts'
import { holding } from '../held.ts'
import type { EduCursors, Held } from './leases.ts'
import { DURABLE, EPHEMERAL, EPHEMERAL_BY_ROOMS, IS_DURABLE, IS_EPHEMERAL } from './find-edus.ts'
import type { Range } from './timeline.ts'

export interface StoredEdu {
  readonly pos: number
  readonly eduType: string
  /** Canonical JSON; null: it was not read, as those before it have as many bytes as may be read. The first of a reading has its own. */
  readonly content: string | null
  /** When ingest took it, ms since the epoch. */
  readonly receivedTs: number
  /** From when on it is not sent, ms since the epoch; null: its age does not matter here. */
  readonly expiresAt: number | null
  readonly durable: boolean
  /** It goes in a transaction of its own (MSC4514). */
  readonly alone: boolean
  /** A later one with the same replaces it; null: nothing does. */
  readonly key: string | null
  /** Of an `m.device_list_update` the user, of an `m.direct_to_device` the id of the message. */
  readonly who: string | null
}

export interface EdusRead {
  readonly edus: readonly StoredEdu[]
  /** Up to here there is nothing else for it. */
  readonly upto: number
}

const READ_DURABLE = sql('read durable EDUs', DURABLE)
const READ_EPHEMERAL = sql('read ephemeral EDUs', EPHEMERAL)
const READ_BY_ROOMS = sql('read ephemeral EDUs room by room', EPHEMERAL_BY_ROOMS)
const OWES_DURABLE = sql('is a durable EDU owed', IS_DURABLE)
const OWES_EPHEMERAL = sql('is an ephemeral EDU owed', IS_EPHEMERAL)

/** How long EDUs that are not durable wait where they go alone, ms: between two such transactions, and presence alone for company. */
export const EPHEMERAL_WAITS = { alone: 1_000, company: 10_000 } as const

/** Fewer than this in a whole window: what is for it is far between. */
const SPARSE = 20
/** Rows that are read at most room by room: the next reading finds itself where they are near. */
const FAR = 50

/** Windows of durable ones that hold nothing for it, one after the other: the cursor of who is owed little moves faster. Two thousand that came together are passed. */
const WINDOWS = 3

/** `range.after`: the durable cursor. */
export async function readDurableEdus(
  db: Db,
  destination: number,
  range: Range,
  most: Most,
): Promise<EdusRead> {
  let found = await read(db, READ_DURABLE, destination, range, most)
  for (let n = 1; n < WINDOWS && found.edus.length === 0 && found.upto < range.upto; n += 1)
    found = await read(db, READ_DURABLE, destination, { after: found.upto, upto: range.upto }, most)
  return found
}

/** `range.after`: the ephemeral cursor. */
export async function readEphemeralEdus(
  db: Db,
  destination: number,
  range: Range,
  most: Most,
): Promise<EdusRead> {
  const near = await read(db, READ_EPHEMERAL, destination, range, most)
  if (near.upto >= range.upto || near.edus.length >= Math.min(SPARSE, most.rows)) return near
  const far = await read(db, READ_BY_ROOMS, destination, range, { ...most, rows: Math.min(FAR, most.rows) })
  return far.upto > near.upto ? far : near
}

/** True, too, where that is not to be seen in a few rows: the reading that follows moves the cursor past them. */
export const owesDurableEdus = (db: Db, destination: number, range: Range): Promise<boolean> =>
  isOwed(db, OWES_DURABLE, destination, range)

/** As for durable ones. */
export const owesEphemeralEdus = (db: Db, destination: number, range: Range): Promise<boolean> =>
  isOwed(db, OWES_EPHEMERAL, destination, range)

interface Row {
  upto: number
  /** Null: there is none. */
  pos: number | null
  type: string
  content: string | null
  received_ts: number
  expires_at: number | null
  alone: boolean | null
  key: string | null
  who: string | null
}

async function read(
  db: Db,
  statement: Sql,
  destination: number,
  { after, upto }: Range,
  { rows: limit, bytes }: Most,
): Promise<EdusRead> {
  if (upto <= after) return { edus: [], upto: after }
  const { rows } = await db.query<Row>(statement, [destination, after, upto, limit, bytes])
  const durable = statement === READ_DURABLE
  const edus = rows.flatMap((row) => (row.pos === null ? [] : [fromRow({ ...row, pos: row.pos }, durable)]))
  const last = edus.at(-1)
  const end = last !== undefined && edus.length >= limit ? last.pos : rows[0]?.upto
  return { edus, upto: end ?? after }
}

function fromRow(row: Row & { pos: number }, durable: boolean): StoredEdu {
  const { pos, content, key, who } = row
  return {
    pos,
    eduType: row.type,
    content,
    receivedTs: row.received_ts,
    expiresAt: row.expires_at,
    durable,
    alone: row.alone === true,
    key,
    who,
  }
}

async function isOwed(db: Db, statement: Sql, destination: number, { after, upto }: Range): Promise<boolean> {
  if (upto <= after) return false
  const { rows } = await db.query<{ owed: boolean }>(statement, [destination, after, upto])
  return rows[0]?.owed === true
}

const MOVE = sql(
  'move the cursors of EDUs',
  `${holding()} update destinations d set durable_pos = greatest(d.durable_pos, $4), ephemeral_pos = greatest(d.ephemeral_pos, $5) from held h where d.id = h.id`,
)

/** Nothing up to there goes any more. Does nothing where the lease is over. */
export async function moveEduCursors(
  db: Db,
  { worker, fence, destination }: Held,
  { durable, ephemeral }: EduCursors,
): Promise<void> {
  await db.query(MOVE, [worker, fence, destination, durable, ephemeral])
}

const KIND = sql('is an EDU durable', 'select durable from edus where pos = $1')

/** False, too, where it is gone. */
export async function isDurableEdu(db: Db, pos: number): Promise<boolean> {
  return (await db.query<{ durable: boolean }>(KIND, [pos])).rows[0]?.durable === true
}
