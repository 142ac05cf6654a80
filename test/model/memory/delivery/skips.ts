/** `store/delivery/skips.ts`: an operator gives up what is owed up to now, and the holder carries it out. */
import { NO_SUSPECT } from '../../../../src/store/delivery/apart.ts'
import { headOf, openGapOf, owedTo } from '../rules.ts'
import { keyOf } from '../rows.ts'
import { held } from './leases.ts'
import { twin, type Call, type Twins } from '../statement.ts'

type Skip = [string, number, number, number]

/** It was in the room before `upto`, or is not in it. */
function isOfBefore({ t }: Call, destination: number, pos: number, upto: number): boolean {
  const room = t.sticky.get(pos)?.room
  return !t.memberships
    .all()
    .some((m) => m.room === room && m.destination === destination && m.until === null && m.since > upto)
}

export const SKIPS = {
  'wish to skip': twin<[string]>(({ t, now }, name) => {
    const d = t.destinations.all().find((one) => one.name === name)
    if (d === undefined) return []
    const upto = Math.max(d.skip_upto ?? 0, headOf(t))
    t.destinations.change(d.id, {
      ...{ wake_seq: d.wake_seq + 1, narrowed_seq: d.narrowed_seq + 1, skip_upto: upto, look_at: now },
    })
    return [{ quick: d.quick, upto }]
  }),
  'skip what is owed': twin<Skip>((call, worker, fence, id, upto) => {
    const { t, now } = call
    const d = held(call, worker, fence, id)
    if (d?.skip_upto !== upto) return []
    const ended = t.open_transactions.get(id)?.txn_id ?? null
    if (ended !== null) t.open_transactions.delete(id)
    const gap = openGapOf(t, id)
    const goesOn = gap !== undefined && gap.to_pos > upto
    if (gap !== undefined)
      t.gaps.change(gap.id, goesOn ? { cursor: Math.max(gap.cursor, upto) } : { closed_at: now })
    for (const row of owedTo(t, id)) {
      const key = keyOf.owed(id, row.room)
      if (row.room === null && goesOn) t.sticky_owed.put(key, { ...row, cursor: Math.max(row.cursor, upto) })
      else if (row.room === null ? gap !== undefined : (row.upto ?? Infinity) <= upto)
        t.sticky_owed.delete(key)
    }
    for (const { destination, pos, state } of t.replays.all()) {
      if (destination === id && state === 'unlisted' && pos <= upto && isOfBefore(call, id, pos, upto))
        t.replays.delete(keyOf.replay(id, pos))
    }
    const gone = t.apart.all().filter(({ destination, pos }) => destination === id && pos <= upto)
    for (const one of gone) t.apart.delete(keyOf.apart(id, one.pos))
    for (const one of t.edus_apart.all())
      if (one.destination === id && one.pos <= upto) t.edus_apart.delete(keyOf.eduApart(id, one.pos))
    const those = t.apart.all().filter(({ destination }) => destination === id)
    const last = Math.max(0, ...those.map(({ grp }) => grp ?? 0), ...gone.map(({ grp }) => grp ?? 0))
    for (const one of those)
      if (one.grp === null && one.next_at === null)
        t.apart.put(keyOf.apart(id, one.pos), { ...one, grp: last + 1, tries: NO_SUSPECT })
    for (const room of t.waiting_rooms.all()) {
      if (room.destination !== id) continue
      const cursor = Math.max(room.cursor, upto)
      t.waiting_rooms.put(keyOf.waits(id, room.room), {
        ...room,
        cursor,
        held_since: null,
        tries: 0,
        next_at: null,
      })
    }
    t.destinations.change(id, {
      position: goesOn ? d.position : Math.max(d.position, upto),
      ...{ durable_pos: Math.max(d.durable_pos, upto), ephemeral_pos: Math.max(d.ephemeral_pos, upto) },
      skip_upto: null,
    })
    return [{ ended }]
  }),
} satisfies Twins
