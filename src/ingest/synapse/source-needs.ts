/** What the Synapse source needs from outside: how it reads, where it stores, and what it tells. */
import type { Clock } from '../../pace/clock.ts'
import type { Append } from '../append.ts'
import type { Pool } from '../../store/db.ts'
import type { LeftBehindNeeds } from './left-behind.ts'
import type { Progress } from './progress.ts'
import type { PurgeNeeds } from './purges.ts'
import type { ReaderLease } from './reader-lease.ts'
import type { RedactionItemsNeeds } from './redaction-items.ts'
import type { TimelineStore } from './timeline.ts'
import type { WindowItemsNeeds } from './window-items.ts'

/** Hears every message of a Redis channel until `signal` aborts, through any loss of connection. */
export type Subscribe = (channel: string, onMessage: (message: string) => void, signal: AbortSignal) => void

export interface SynapseSourceNeeds extends Omit<WindowItemsNeeds, 'purges' | 'redactions' | 'readTo'> {
  readonly append: Append
  /** The stored token of a source; null where there is none. */
  readonly tokenOf: (source: string) => Promise<string | null>
  /** Synapse's Redis; left out, changes are seen at the next poll. */
  readonly subscribe?: Subscribe | undefined
  /** Of many redactions, only those of events that limpet holds are passed on. */
  readonly held?: RedactionItemsNeeds['held']
  /** What limpet holds of one sender, a page at a time: a ban redacts all that is left of it. */
  readonly heldBy?: RedactionItemsNeeds['heldBy']
  /** Rooms that cannot be read in time are left behind, and then read with the longer statements of `pool`; left out, they hold up the stream. */
  readonly behind?: (Pick<LeftBehindNeeds, 'tokens' | 'drop'> & { readonly pool: Pool }) | undefined
  /** Left out, this process always reads. */
  readonly lease?: Pick<ReaderLease, 'held' | 'wait' | 'giveWay'> | undefined
  /** Told how it goes. */
  readonly progress?: Pick<Progress, 'saw' | 'stored' | 'readTo' | 'failed' | 'stopped'> | undefined
  /** By which a restored database is noticed; left out, only while this process runs. */
  readonly timeline?: TimelineStore | undefined
  /** How many connections to Synapse's database were opened: those of one may all lead to other servers than the next. */
  readonly connections?: (() => number) | undefined
  readonly clock: Clock
  readonly purges: Pick<PurgeNeeds, 'told' | 'everyMs' | 'graceMs'>
  /**
   * Asked before its database is read first, again and again until it answers, as one that is away at the start does later.
   * Throws SynapseRefused where it must not be read; whatever else it throws is tried again.
   */
  readonly mayRead?: (() => Promise<void>) | undefined
  /** How often to look, milliseconds. Default 1,000. */
  readonly pollMs?: number
}
