/** What an answer did not list goes again, 15 s later and then twice as late each time (contract 5.5), whatever else waits. */
import type { View } from './driver.ts'
import type { History } from './history.ts'

/** The promise. */
export const REPEATED = 'what is not listed is repeated in time (5.5)'

const FIRST_MS = 15_000
/** To one that has never listed anything. */
const REPEATS = 5

/** When the first of these is due at the latest, ms since the epoch; null: nothing certainly is. `latest`: the latest that the clock has said. */
export function repeatBy(history: History, view: View, latest: number): number | null {
  const times = history.all().flatMap((event) => {
    const last = event.told.at(-1)
    // What is apart has a time of its own.
    if (last === undefined || last.listed || view.apart.includes(event.pos)) return []
    if (!history.isCertainlySticky(event, latest) || !history.inRoomNow(event.room)) return []
    if (history.isOfBeforeSkip(event.pos)) return []
    const unlisted = event.told.filter(({ listed }) => !listed).length
    return unlisted > REPEATS ? [] : [last.at + FIRST_MS * 2 ** (unlisted - 1)]
  })
  return times.length === 0 ? null : Math.min(...times)
}
