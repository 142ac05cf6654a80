/** `store/upkeep/set-back.ts`: what lies ahead is put back with the clock. */
import { greatest } from '../rules.ts'
import { keyOf } from '../rows.ts'
import { twin, type Twins } from '../statement.ts'

export const SET_BACK = {
  'note when was swept': twin<[number]>(({ t, now }, least) => {
    const row = t.cursors.get('swept_at')
    const back = row !== undefined && row.pos > now + least
    if (!back) t.cursors.put('swept_at', { name: 'swept_at', pos: now })
    return row === undefined ? [] : [{ back }]
  }),
  'how far was the clock set back': twin<[number]>(({ t, now }, least) => {
    const row = t.cursors.get('swept_at')
    if (row === undefined || row.pos <= now + least) return []
    t.cursors.lock('swept_at')
    return [{ ms: row.pos - now }]
  }),
  'put waits back': twin<[number]>(({ t, now }, ms) => {
    const ahead = t.destinations
      .all()
      .filter(
        (d) =>
          (greatest(d.retry_at, d.hold_until, d.advice_at, d.advice_after, d.deadline_at, d.look_at) ??
            -Infinity) > now,
      )
    const back = (at: number | null) => (at !== null && at > now ? at - ms : at)
    for (const d of ahead) {
      t.destinations.change(d.id, {
        ...{ retry_at: back(d.retry_at), hold_until: back(d.hold_until), look_at: back(d.look_at) },
        ...{ advice_at: back(d.advice_at), advice_after: back(d.advice_after) },
        deadline_at: back(d.deadline_at),
      })
    }
    return ahead.length
  }),
  'put repeats back': twin<[number]>(({ t, now }, ms) => {
    const ahead = t.replays.all().filter((p) => p.state === 'unlisted' && (p.next_at ?? 0) > now)
    for (const p of ahead) {
      t.replays.change(keyOf.replay(p.destination, p.pos), { next_at: (p.next_at ?? 0) - ms })
    }
    return ahead.length
  }),
  'put leases back': twin<[number, number]>(({ t, now }, ms, least) => {
    const long = t.workers.all().filter(({ lease_until }) => lease_until > now + least)
    for (const { id, lease_until } of long) {
      t.workers.change(id, { lease_until: Math.max(lease_until - ms, now + least) })
    }
    return long.length
  }),
  'the clock was followed': twin<[number]>(({ t }, ms) => {
    t.cursors.change('swept_at', { pos: (t.cursors.get('swept_at')?.pos ?? 0) - ms })
    return 1
  }),
} satisfies Twins
