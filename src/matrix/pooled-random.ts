/**
 * Random bytes for ids. They are taken from the system in large batches: each request to it costs about ten
 * microseconds, whatever its size, and every transaction needs an id.
 */
import { randomFillSync } from 'node:crypto'

const AT_ONCE = 4096
const pool = Buffer.alloc(AT_ONCE)
let used = AT_ONCE

/** `size` bytes (at most 4,096) that were not given out before, a copy. Not for keys: what was given stays in memory for a while. */
export function pooledRandom(size: number): Buffer {
  if (used + size > AT_ONCE) {
    randomFillSync(pool)
    used = 0
  }
  used += size
  return Buffer.from(pool.subarray(used - size, used))
}
