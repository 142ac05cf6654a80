/** How long something takes, told apart from how busy the machine is. */

/**
 * Does `work` until it has taken less than `ms` milliseconds once, ten times at most, and gives the shortest time.
 * For promises like "within three seconds": one try says as much about the machine as about us.
 */
export async function shortest(ms: number, work: () => Promise<unknown>): Promise<number> {
  let best = Infinity
  for (let tries = 0; tries < 10 && best >= ms; tries += 1) {
    const began = performance.now()
    await work()
    best = Math.min(best, performance.now() - began)
  }
  return best
}
