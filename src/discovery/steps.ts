/**
 * What discovery did for a server name, step by step, for `limpet discover`.
 *
 * The numbers are those of the specification, server-server API, "Resolving server names" (v1.8 and later: SRV records
 * under `_matrix-fed._tcp` come before those under `_matrix._tcp`, which are deprecated).
 */
import type { Remembered } from './memory.ts'

export type SpecStep = '1' | '2' | '3' | '3.1' | '3.2' | '3.3' | '3.4' | '3.5' | '4' | '5' | '6'

export interface DiscoveryStep {
  readonly step: SpecStep
  /** For example `https://example.org/.well-known/matrix/server`; null where nothing had to be asked. */
  readonly asked: string | null
  /** What came of it, in words. */
  readonly outcome: string
  readonly durationMs: number
  /** Null where nothing was asked. */
  readonly cache: CacheView | null
}

/** What the cache had to do with it. */
export interface CacheView {
  readonly state: Remembered<unknown>['state']
  /** How long ago it was asked. */
  readonly ageMs: number
  /** Until it is asked for again; not positive where it is past its time. */
  readonly leftMs: number
  /** Until it is worth while to ask again. */
  readonly againMs: number
  /** Lookups that failed since, in a row. */
  readonly failures: number
}

export function cacheView({ state, ageMs, leftMs, againMs, failures }: Remembered<unknown>): CacheView {
  const times = { ageMs: Math.round(ageMs), leftMs: Math.round(leftMs), againMs: Math.round(againMs) }
  return { state, ...times, failures }
}
