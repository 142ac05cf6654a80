/**
 * Skipping for want of something that this machine does not have. The reason is shown above the
 * count (`reporter.ts`), because a skipped test that nobody notices guards nothing.
 */

// On globalThis, since Mocha may load the reporter and the tests as separate copies of this module.
const KEY = Symbol.for('limpet.test.skip-reasons')
const shared = globalThis as unknown as Record<symbol, Set<string> | undefined>

/** Why tests were skipped so far, each reason once. */
export function skipReasons(): string[] {
  return [...(shared[KEY] ?? [])]
}

/** Skips the running test, or from a `before` hook the whole suite: `skip(this, 'no redis-server')`. */
export function skip(context: Mocha.Context, reason: string): never {
  const reasons = (shared[KEY] ??= new Set())
  // One of several processes tells by itself: the reporter is in another.
  if (process.env['MOCHA_WORKER_ID'] !== undefined && !reasons.has(reason)) console.log(`skipped: ${reason}`)
  reasons.add(reason)
  return context.skip()
}
