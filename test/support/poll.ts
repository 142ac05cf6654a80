/** Waiting for a condition, with an end and a reason. */

/**
 * Asks `condition` again and again until it gives something truthy, and returns that. What the
 * condition throws counts as "not yet" and is told when time is up.
 * @param withinMs how long at most, default 60 s: it ends a test that has gone wrong, and says nothing of how
 *   quick something is. Mocha gives a test longer (`.mocharc.json`), so that this reason is what is told
 * @param what the condition in words, for the message: "the destination to be idle"
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { withinMs = 60_000, everyMs = 20, what }: { withinMs?: number; everyMs?: number; what: string },
): Promise<Exclude<T, null | undefined | false | 0 | ''>> {
  const start = performance.now()
  let last: unknown
  let thrown: unknown
  for (;;) {
    try {
      last = await condition()
      thrown = undefined
      if (last) return last as Exclude<T, null | undefined | false | 0 | ''>
    } catch (error) {
      thrown = error
    }
    if (performance.now() - start > withinMs) break
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
  const why =
    thrown instanceof Error
      ? `it threw: ${thrown.message}`
      : `it last was ${last === undefined ? 'undefined' : JSON.stringify(last)}`
  throw new Error(`waited ${withinMs} ms for ${what}; ${why}`, { cause: thrown })
}
