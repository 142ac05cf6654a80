/**
 * Which address of a target worked last?
 *
 * Only those are remembered that were not the first of their target: usually the first works, and needs no memory. The
 * number is limited; the one noted longest ago goes first.
 */
import type { Target } from './target.ts'

export interface Worked {
  of(target: Target): string | null
  note(target: Target, address: string): void
}

const MOST = 10_000

export function makeWorked(most = MOST): Worked {
  const addresses = new Map<string, string>()
  return {
    of: (target) => addresses.get(keyOf(target)) ?? null,
    note(target, address) {
      const key = keyOf(target)
      addresses.delete(key)
      if (address !== target.addresses[0]) addresses.set(key, address)
      const oldest = addresses.size > most ? addresses.keys().next().value : undefined
      if (oldest !== undefined) addresses.delete(oldest)
    },
  }
}

const keyOf = ({ tlsName, port }: Target) => `${tlsName} ${port}`
