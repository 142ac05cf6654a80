/**
 * Makes a schedule that fails as short and plain as it gets: whatever can be left out or made simpler without the
 * same promise being kept is left out. Greedy, so the order of what is tried matters: long pieces first.
 */
import type { Break, Command } from './schedule.ts'

/** Runs tried, at most. */
const MOST_TRIES = 1_500

export async function shrinkSchedule(
  schedule: readonly Command[],
  fails: (schedule: readonly Command[]) => Promise<boolean>,
): Promise<Command[]> {
  let best = [...schedule]
  let tries = 0
  const better = async (candidate: Command[]): Promise<boolean> => {
    if (tries >= MOST_TRIES) return false
    tries += 1
    if (!(await fails(candidate))) return false
    best = candidate
    return true
  }
  for (let changed = true; changed && tries < MOST_TRIES;) {
    changed = false
    for (let length = Math.ceil(best.length / 2); length >= 1; length = Math.floor(length / 2)) {
      for (let from = best.length - length; from >= 0; from -= 1) {
        const without = [...best.slice(0, from), ...best.slice(from + length)]
        if (without.length < best.length && (await better(without))) changed = true
      }
    }
    for (let index = 0; index < best.length; index += 1) {
      for (let again = true; again;) {
        again = false
        for (const simpler of simplerThan(best[index])) {
          if (await better(best.map((one, at) => (at === index ? simpler : one)))) {
            changed = again = true
            break
          }
        }
      }
    }
  }
  return best
}

/** The same command with less in it. */
function simplerThan(one: Command | undefined): Command[] {
  if (one === undefined) return []
  const simpler: Command[] = []
  if ('break' in one && one.break !== null) {
    simpler.push({ ...one, break: null })
    for (const held of simplerBreaks(one.break)) simpler.push({ ...one, break: held })
  }
  if ('door' in one && one.door !== '1') simpler.push({ ...one, door: '1' })
  if ('room' in one && one.room !== 0) simpler.push({ ...one, room: 0 })
  if ('by' in one && one.by !== 'A') simpler.push({ ...one, by: 'A' })
  if (one.do === 'append') {
    if (one.count > 1) simpler.push({ ...one, count: 1 }, { ...one, count: one.count - 1 })
    if (one.size !== 60) simpler.push({ ...one, size: 60 })
    if (one.stickyMs !== null) simpler.push({ ...one, stickyMs: null })
    if (one.audience !== 'room') simpler.push({ ...one, audience: 'room' })
  }
  if (one.do === 'edu') {
    if (one.count > 1) simpler.push({ ...one, count: 1 }, { ...one, count: one.count - 1 })
    if (one.size !== 20) simpler.push({ ...one, size: 20 })
    if (one.ttlMs !== null) simpler.push({ ...one, ttlMs: null })
    if (one.alone) simpler.push({ ...one, alone: false })
    if (one.to !== 'us') simpler.push({ ...one, to: 'us' })
    if (one.user !== 'one') simpler.push({ ...one, user: 'one' })
  }
  if (one.do === 'rejoin' || one.do === 'kick')
    simpler.push({ ...one, do: one.do === 'rejoin' ? 'join' : 'leave' })
  if (one.do === 'set' && one.us !== 'in it') simpler.push({ ...one, us: 'in it' })
  if (one.do === 'follows') {
    if (one.what === 'join') simpler.push({ ...one, what: 'event' })
    if (one.stickyMs !== null) simpler.push({ ...one, stickyMs: null })
  }
  if (one.do === 'redact' && one.back > 0) simpler.push({ ...one, back: 0 })
  if (one.do === 'time' && one.ms > 1_000) simpler.push({ ...one, ms: 1_000 })
  if (one.do === 'fails over') {
    for (const part of ['lost', 'then'] as const) {
      for (const less of simplerLists(one[part])) simpler.push({ ...one, [part]: less })
    }
  }
  if (one.do === 'tick') simpler.push({ ...one, do: 'turn' })
  return simpler
}

function simplerBreaks(held: Break): Break[] {
  const { happens, then } = held
  const simpler: Break[] = simplerLists(happens).map((less) => ({ ...held, happens: less }))
  if (then !== 'goes on') simpler.push({ ...held, then: 'goes on' })
  return simpler
}

/** With one of them less, or one of them simpler. */
function simplerLists(all: readonly Command[]): Command[][] {
  const without = all.map((_, index) => all.filter((__, at) => at !== index))
  const plainer = all.flatMap((inner, index) =>
    simplerThan(inner).map((one) => all.map((other, at) => (at === index ? one : other))),
  )
  return [...without, ...plainer]
}
