/**
 * The rooms whose servers limpet was told, without those purged since. A source compares them with its homeserver's
 * rooms.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

export interface ToldRoom {
  /** Ours; pages go by it. */
  readonly id: number
  readonly roomId: string
}

const LIST = sql(
  'list the rooms that were told',
  `select id, room_id as "roomId" from rooms where known and id > $1 order by id limit $2`,
)

/** At most `limit` told rooms whose ids are above `after`, by id. */
export async function toldRooms(
  db: Db,
  { after, limit }: { after: number; limit: number },
): Promise<ToldRoom[]> {
  const { rows } = await db.query<ToldRoom>(LIST, [after, limit])
  return rows
}

const AMONG = sql('which rooms were told', 'select room_id from rooms where known and room_id = any($1)')

/** Those of `roomIds` that are told. */
export async function toldAmong(db: Db, roomIds: readonly string[]): Promise<string[]> {
  const { rows } = await db.query<{ room_id: string }>(AMONG, [roomIds])
  return rows.map((row) => row.room_id)
}
