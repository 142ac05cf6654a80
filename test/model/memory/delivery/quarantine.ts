/** `store/delivery/quarantine-acts.ts`: an operator has what was set aside tried, or gives it up. What was given up is noted for people alone. */
import { NO_SUSPECT } from '../../../../src/store/delivery/apart.ts'
import { openEdus } from '../edus.ts'
import { headOf } from '../rules.ts'
import { keyOf, type ApartRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'

const isHeld = ({ t }: Call, id: number, room: number): boolean =>
  (t.waiting_rooms.get(keyOf.waits(id, room))?.held_since ?? null) !== null

const isAside = (call: Call, { destination, room, grp, next_at }: ApartRow): boolean =>
  grp === null && !(next_at === null && isHeld(call, destination, room))

const all = ({ t }: Call, id: number) => t.apart.all().filter(({ destination }) => destination === id)

function drop(call: Call, id: number, which: (row: ApartRow) => boolean): object[] {
  const { t, now } = call
  const gone = all(call, id).filter(which)
  for (const { pos } of gone) {
    t.apart.delete(keyOf.apart(id, pos))
    const key = keyOf.replay(id, pos)
    const was = t.replays.get(key)
    const as = { state: 'sent' as const, listed_at: headOf(t), tries: 0, next_at: null, at: now }
    const fresh = { destination: id, pos, expires_at: t.sticky.get(pos)?.expires_at ?? now }
    t.replays.put(key, { ...(was ?? fresh), ...as })
  }
  const open = t.open_transactions.get(id)
  if (open !== undefined && !open.void && gone.some(({ pos }) => open.positions.includes(pos)))
    t.open_transactions.change(id, { void: true })
  return [{ n: gone.length }]
}

export const QUARANTINE = {
  'lock whose quarantine it is': twin<[string]>(({ t, now }, name) => {
    const d = t.destinations.all().find((one) => one.name === name)
    if (d === undefined) return []
    t.destinations.lock(d.id)
    const { id, quick, paused, hold_kind, hold_until } = d
    const embargo = hold_kind === 'retry_after' && hold_until !== null && hold_until > now ? hold_until : null
    return [{ id, quick, paused, embargo }]
  }),
  'try what is set aside': twin<[number, number]>((call, id, pos) => {
    const row = call.t.apart.get(keyOf.apart(id, pos))
    if (row === undefined || !isAside(call, row)) return 0
    call.t.apart.change(keyOf.apart(id, pos), { next_at: call.now })
    return 1
  }),
  'try a held room': twin<[number, number]>((call, id, room) => {
    if (!isHeld(call, id, room)) return 0
    call.t.waiting_rooms.change(keyOf.waits(id, room), { next_at: call.now })
    return 1
  }),
  'try an EDU that is set aside': twin<[number, number]>(({ t, now }, id, pos) => {
    const key = keyOf.eduApart(id, pos)
    if (t.edus_apart.get(key)?.sure !== true) return 0
    t.edus_apart.change(key, { next_at: now })
    return 1
  }),
  'wish for a try of what is set aside': twin<[number]>(({ t, now }, id) => {
    const d = t.destinations.get(id)
    if (d !== undefined) t.destinations.change(id, { wake_seq: d.wake_seq + 1, asked_at: now, look_at: now })
    return 1
  }),
  'drop what is set aside': twin<[number, string, number]>((call, id, _, pos) =>
    drop(call, id, (row) => row.pos === pos && isAside(call, row)),
  ),
  'drop an EDU that is set aside': twin<[number, string, number]>(({ t }, id, _who, pos) => {
    const key = keyOf.eduApart(id, pos)
    if (t.edus_apart.get(key)?.sure !== true) return [{ n: 0 }]
    t.edus_apart.delete(key)
    const open = t.open_transactions.get(id)
    if (open !== undefined && openEdus(open).includes(pos)) t.open_transactions.change(id, { void: true })
    return [{ n: 1 }]
  }),
  'drop what is set aside of a held room': twin<[number, string, number]>((call, id, _, room) =>
    isHeld(call, id, room)
      ? drop(
          call,
          id,
          (row) => row.room === room && row.grp === null && row.next_at === null && row.message !== null,
        )
      : [{ n: 0 }],
  ),
  'hold a dropped room no more': twin<[number, number]>((call, id, room) => {
    const { t } = call
    if (!isHeld(call, id, room)) return []
    t.waiting_rooms.change(keyOf.waits(id, room), { held_since: null, tries: 0, next_at: null })
    const last = Math.max(0, ...all(call, id).map(({ grp }) => grp ?? 0))
    for (const row of all(call, id))
      if (row.room === room && row.grp === null && row.next_at === null && row.message === null)
        t.apart.change(keyOf.apart(id, row.pos), { grp: last + 1, tries: NO_SUSPECT })
    return [{ room }]
  }),
  'wish for a look after a drop': twin<[number]>(({ t, now }, id) => {
    const d = t.destinations.get(id)
    if (d === undefined) return 0
    const seqs = { wake_seq: d.wake_seq + 1, narrowed_seq: d.narrowed_seq + 1 }
    t.destinations.change(id, { ...seqs, look_at: now })
    return 1
  }),
} satisfies Twins
