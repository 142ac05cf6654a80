/** What a turn came to. */
export interface Turned {
  /** It gave up its turn although more is left. */
  again: boolean
  /** It is followed from now on: its follower has it in `running`. */
  followed?: boolean
  /** With `again`: whether it belongs in the queue of those that answer quickly; it may have become slow meanwhile. */
  quick?: boolean
}

/** Serves one destination. */
export type ServeTurn = (destination: string, signal: AbortSignal) => Promise<Turned>
