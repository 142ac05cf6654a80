/** `store/{seen-time,take-away}.ts`: how old things are, and that the log got shorter. */
import { headOf } from '../rules.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import type { Tables } from '../tables.ts'

const seenOf = (t: Tables): number => t.seen_time.get(1)?.seen_ms ?? 0
const marksOf = (t: Tables) => t.seen_marks.all().sort((a, b) => b.seen_ms - a.seen_ms)
/** The newest mark that is so old. */
const markOf = (t: Tables, ms: number) => marksOf(t).find(({ seen_ms }) => seen_ms <= seenOf(t) - ms)

/** The last position that was received longer ago than `ms`. */
export const oldUpTo = (t: Tables, ms: number): number => markOf(t, ms)?.head ?? 0

/** A time that had come by every reading in the last `ms`; before all times where there is none. */
export function overSince(t: Tables, ms: number): number {
  const mark = markOf(t, ms)
  if (mark === undefined) return -Infinity
  return Math.min(
    ...marksOf(t)
      .filter(({ seen_ms }) => seen_ms >= mark.seen_ms)
      .map(({ low }) => low),
  )
}

/** The last position that may go, as far as its age and what is sticky are concerned. */
export function oldLogUpTo({ t }: Call, eventsMs: number): number {
  const sticky = t.sticky.all().map(({ pos }) => pos - 1)
  return Math.min(oldUpTo(t, eventsMs), headOf(t), ...sticky)
}

export const SEEN = {
  'how much time was seen': twin(({ t, now }) => [{ seen: seenOf(t), now }]),
  'time was seen': twin<[number, number, number]>(({ t }, least, now, every) => {
    const seen = Math.max(seenOf(t), least)
    t.seen_time.change(1, { seen_ms: seen })
    const [newest] = marksOf(t)
    if (newest !== undefined && newest.low > now) t.seen_marks.change(newest.seen_ms, { low: now })
    if (newest === undefined || newest.seen_ms <= seen - every) {
      if (t.seen_marks.get(seen) === undefined)
        t.seen_marks.put(seen, { seen_ms: seen, head: headOf(t), low: now })
    }
    return [{ seen }]
  }),
  'forget marks': twin<[number]>(({ t }, ms) => {
    const mark = markOf(t, ms)
    const gone = marksOf(t).filter(({ seen_ms }) => seen_ms < (mark?.seen_ms ?? 0))
    for (const { seen_ms } of gone) t.seen_marks.delete(seen_ms)
    return gone.length
  }),
  'how far is the log old': twin<[number]>((call, eventsMs) => [{ upto: oldLogUpTo(call, eventsMs) }]),
  'note that texts went': twin<[number]>(({ t, now }, pos) => {
    t.changes.put(pos, {
      pos,
      kind: 'erase',
      room: null,
      target: null,
      added: null,
      removed: null,
      at: now,
    })
    return 1
  }),
} satisfies Twins
