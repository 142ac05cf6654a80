/**
 * Sticky events that an answer did not list: each goes again when its time has come, until it is listed or lapses (contract 5.5). No
 * cursor moves with them; what an answer says of them is noted.
 */
import { readUnlisted } from '../../store/sticky-lane.ts'
import { NO_ITEMS, type Lane, type Look } from './lane.ts'
import { giveSticky, liveOf } from './replays.ts'

export const unlisted: Lane = {
  name: 'unlisted',
  letter: 's',
  owes: async (db, id, look) => isDue(look) && (await readUnlisted(db, id, look.now, 1)).length > 0,
  async read(db, id, look, { limit }) {
    if (!isDue(look)) return NO_ITEMS
    const pdus = await readUnlisted(db, id, look.now, limit)
    return { pdus, whole: pdus.length < limit }
  },
  offer(reading, space) {
    giveSticky(reading, space, liveOf(reading, 'unlisted'))
    return {}
  },
}

const isDue = ({ now, unlistedAt }: Look): boolean => unlistedAt !== null && unlistedAt <= now
