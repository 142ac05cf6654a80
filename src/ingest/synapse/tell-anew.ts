/**
 * Tells limpet the servers of all rooms again, page by page, as they are at a place of Synapse's stream. Needed after
 * its database was restored, when limpet's own record of who is in which room belongs to another timeline. Rooms that
 * Synapse does not have any more are left to the purges.
 */
import { isRoomId } from '../../matrix/ids.ts'
import type { Db } from '../../store/db.ts'
import type { ServersItem } from '../items.ts'
import { planned } from './planned.ts'
import type { ToldRooms } from './purges.ts'
import { readJoined, readPartialRooms } from './room-servers.ts'

/** Rooms a page: every member of each is read. */
const PAGE = 50

const SELECT_PRESENT = planned('which rooms has Synapse', 'select room_id from rooms where room_id = any($1)')

export async function roomsAnew(
  db: Db,
  {
    told,
    after,
    at,
    serverName,
  }: {
    told: Pick<ToldRooms, 'page'>
    /** Rooms with higher ids of limpet's. */
    after: number
    at: number
    serverName: string
  },
): Promise<{ readonly items: ServersItem[]; readonly upTo: number | null }> {
  const page = await told.page(after, PAGE)
  const ids = page.map(({ roomId }) => roomId)
  const { rows } = await db.query<{ room_id: string }>(SELECT_PRESENT, [ids])
  const rooms = rows.map((row) => row.room_id)
  const partial = await readPartialRooms(db, { rooms, serverName })
  const joined = await readJoined(db, { rooms, at, serverName })
  const items = rooms.filter(isRoomId).map((roomId): ServersItem => {
    const servers = new Set([...(joined.get(roomId)?.keys() ?? []), ...(partial.get(roomId) ?? [])])
    return { type: 'servers', roomId, change: { set: [...servers].sort() } }
  })
  return { items, upTo: page.length < PAGE ? null : (page.at(-1)?.id ?? null) }
}
