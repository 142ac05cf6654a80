/**
 * Random choices from a seed: the same seed gives the same story.
 *
 * mulberry32 with 32 bits of state is good enough to shuffle rooms, and it fits on a screen. Nothing secret comes from
 * here.
 */
export interface Dice {
  /** A number in [0, 1). */
  next(): number
  /** A whole number in [0, n). */
  below(n: number): number
  /** `count` different ones of `from` (all, where there are fewer), in an order of their own. */
  some<T>(from: readonly T[], count: number): T[]
  /** An index, the more often the larger its weight. */
  weighted(weights: readonly number[]): number
}

/** `seed`: a whole number; its lowest 32 bits count. */
export function makeDice(seed: number): Dice {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number) => Math.floor(next() * n)
  return {
    next,
    below,
    some(from, count) {
      const left = [...from]
      const taken = []
      while (taken.length < count && left.length > 0) taken.push(...left.splice(below(left.length), 1))
      return taken
    },
    weighted(weights) {
      let at = next() * weights.reduce((sum, one) => sum + one, 0)
      for (const [index, weight] of weights.entries()) {
        at -= weight
        if (at < 0) return index
      }
      return weights.length - 1
    },
  }
}
