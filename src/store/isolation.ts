/**
 * What refusals have taught of a destination (contract 5.9): the column `destinations.isolation`, null where nothing has.
 *
 * `deliver/rules/isolation.ts` has the rules. Times are ms since the epoch, by the database's clock. Its holder alone writes it.
 */
export interface Isolation {
  /** Whole answers that refused a transaction, since the last 200 to one that was not empty. */
  refusals: number
  /** What the last of these said. */
  last: { status: number | null; message: string } | null
  /** The unanswered transaction was refused, and an empty one has still to ask whose fault that is. */
  asks: boolean
  /** Its id: what comes in its place was never refused. A release before this one has written none. */
  asksOf?: string
  /** What was refused came before its time, or the question does itself: whatever is answered to it then, the backoff stays as it was (contract 5.8). */
  asksEarly?: boolean
  /** Everything is answered 401 or 403, an empty transaction too: so often in a row; null: not so. */
  locked: number | null
  /** Time-outs in a row at the longest time-out. */
  timeouts: number
  /** Bytes of a body, PDUs of a transaction: what it took no more of, and when that was learned. */
  bytes: Learned | null
  pdus: Learned | null
  search: Searching | null
  /** A search for EDUs that it refuses; absent: none is on. A release before EDUs were sent has written none. */
  edus?: EduSearch
  /** There are rows of it in `apart` or `waiting_rooms`. */
  apart: boolean
  /** There are rows of it in `edus_apart`; absent: there are none. */
  edusApart?: boolean
}

/** A limit: for a day, then twice as much for a day, and so on. */
export interface Learned {
  most: number
  at: number
}

/** A search for the PDUs that it refuses. */
export interface Searching {
  since: number
  /** Since it began, a transaction that was not empty was answered 200. */
  other: boolean
  /** Which is next, where both have something to send: what is searched, or anything else. */
  turn: 'half' | 'other'
  /** When its steps of the last hour were refused, the oldest first. */
  steps: readonly number[]
  /** How often in a row nothing could be concluded; and until when no half is sent therefore. */
  unsure: number
  waitUntil: number | null
}

/** While it is on, EDUs and PDUs share no transaction. */
export interface EduSearch extends Searching {
  /** Parts of EDUs in one transaction, at most. */
  most: number
  /** The one that was refused alone last, by its position, and how often that was so; absent: none was. */
  of?: { pos: number; tries: number }
}

export const NOTHING_LEARNED: Isolation = {
  ...{ refusals: 0, last: null, asks: false, locked: null, timeouts: 0 },
  ...{ bytes: null, pdus: null, search: null, apart: false },
}
