/**
 * Sticky events that an answer did not list: each goes again when its time has come, until it is listed or lapses (contract 5.5). No
 * cursor moves with them; what an answer says of them is noted.
 */
import { readUnlisted } from '../../store/delivery/sticky-lane.ts'
import { NO_ITEMS, NOTHING, ONE, type Lane, type Look } from './lane.ts'
import { giveSticky, liveOf } from './replays.ts'

export const unlisted: Lane = {
  name: 'unlisted',
  owes: async (db, id, look) => isDue(look) && (await readUnlisted(db, id, look.now, ONE)).pdus.length > 0,
  read: async (db, id, look, most) => (isDue(look) ? readUnlisted(db, id, look.now, most) : NO_ITEMS),
  offer(reading, space) {
    if (reading.items['unlisted'] === undefined) return NOTHING
    giveSticky(reading, space, liveOf(reading, 'unlisted'))
    return NOTHING
  },
}

const isDue = ({ now, unlistedAt }: Look): boolean => unlistedAt !== null && unlistedAt <= now
