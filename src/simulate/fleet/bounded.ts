/**
 * A map that keeps the newest of what it was told, and no more than so much: what a fake homeserver remembers of EDUs
 * may not grow for as long as it runs.
 */
export interface BoundedMap<V> {
  /** What was set longest ago comes first. */
  readonly kept: ReadonlyMap<string, V>
  /** How many were dropped to make room. */
  readonly forgotten: number
  set(key: string, value: V): void
}

export function makeBoundedMap<V>(most: number): BoundedMap<V> {
  const kept = new Map<string, V>()
  let forgotten = 0
  return {
    kept,
    get forgotten() {
      return forgotten
    },
    set(key, value) {
      kept.delete(key)
      kept.set(key, value)
      if (kept.size <= most) return
      const [oldest] = kept.keys()
      if (oldest === undefined) return
      kept.delete(oldest)
      forgotten += 1
    },
  }
}
