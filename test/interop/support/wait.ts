/** Waiting in the interop test: for a condition, with an end, and with the condition's name when it does not come. */

/**
 * Asks `condition` again and again until it answers true.
 * @throws what `condition` throws, at once; or, after `deadlineMs` milliseconds, that `what` did not come.
 */
export async function waitUntil(
  what: string,
  deadlineMs: number,
  condition: () => Promise<boolean> | boolean,
): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs / 1000} s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
