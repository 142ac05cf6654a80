/** Everything else, event by event in stream order; nothing of it while a gap is open. A followed destination gets it from the log. */
import { countTimeline, readTimeline } from '../../store/delivery/timeline.ts'
import { NO_ITEMS, NOTHING, type Lane, type Look } from './lane.ts'

export const timeline: Lane = {
  name: 'timeline',
  owes: async (db, id, look) => look.gap === null && (await countTimeline(db, id, rangeOf(look), 1)) > 0,
  read: async (db, id, look, most) =>
    look.gap === null ? readTimeline(db, id, rangeOf(look), most) : NO_ITEMS,
  offer({ gap, position, head, items }, space) {
    if (gap !== null) return NOTHING
    const { pdus, all } = items['timeline'] ?? NO_ITEMS
    let through = position
    for (const pdu of pdus) {
      if (!space.give(pdu, 't')) return { position: through }
      through = pdu.pos
    }
    return { position: all ? Math.max(through, head) : through }
  },
  takes: () => true,
}

const rangeOf = ({ position, head }: Look) => ({ after: position, upto: head })
