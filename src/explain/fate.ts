/** What became of one event for one destination, as it is told. Times are ms since the epoch. */
export type Outcome =
  | 'delivered'
  | 'acknowledged'
  | 'pending'
  | 'set_aside'
  | 'held'
  | 'skipped'
  | 'given_up'
  | 'lapsed'
  | 'not_entitled'
export type SentAs = 'timeline' | 'catch_up' | 'sticky_replay'

export interface Fate {
  outcome: Outcome
  as: SentAs | null
  txn_id: string | null
  at: number | null
  why: string | null
  /** It is pending, and not what goes out next: `why` says behind what. */
  waits?: true
}
