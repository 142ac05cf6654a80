/**
 * What an open gap owes: each room's newest event, and what was addressed to that server alone (contract 5.4). It begins with one room
 * a transaction. Nothing of it is sent until all owed replays have been sent: what was left of the gap's sticky events would be forgotten with it.
 */
import { gapPositions, readGapRooms } from '../../store/delivery/gap-rooms.ts'
import { NO_ITEMS, NOTHING, type Lane } from './lane.ts'
import { replaysLeft } from './replays.ts'

export const gap: Lane = {
  name: 'gap',
  owes: async (db, id, { gap }) => gap !== null && (await gapPositions(db, id, gap, 1)).length > 0,
  async read(db, id, { gap }, { rows, bytes, before }) {
    if (gap === null) return NO_ITEMS
    // Texts for more rooms would be read for nothing.
    return readGapRooms(db, id, gap, { rows: Math.min(rows, gap.batch + before + 1), bytes })
  },
  offer(reading, space) {
    const { gap, items } = reading
    // What is smaller than the next replay must not slip in before it.
    if (gap === null || replaysLeft(reading, space)) return NOTHING
    const { pdus, all } = items['gap'] ?? NO_ITEMS
    let rooms = 0
    let gapCursor: number | null = null
    for (const pdu of pdus) {
      // An event that goes as a sticky replay anyway takes no place from the gap's batch.
      if (!space.has(pdu.pos)) rooms += 1
      if (rooms > gap.batch || !space.give(pdu, 'c')) return { gapCursor }
      gapCursor = pdu.pos
    }
    return all ? { gapCursor: gap.to, closesGap: true, position: gap.to } : { gapCursor }
  },
}
