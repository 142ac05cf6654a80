/**
 * How long may a statement to Synapse's database take, and does an error say that one took longer?
 *
 * PostgreSQL itself ends it (`statement_timeout`), so that nothing of ours goes on there when no code waits for it any
 * more: its snapshot would keep vacuum from working, and the same statement is asked again soon. The client's own
 * time-out (`query_timeout`, 60 s) is for a server that does not answer at all.
 */

/** What reads the stream, ms: one that is slow holds up all rooms. */
export const STATEMENT_MS = 10_000
/** What reads a room that was too slow to be read with the others, and a command, ms: below the client's, and below a minute. */
export const LONG_STATEMENT_MS = 50_000

/** PostgreSQL's code for a statement that was ended. */
const ENDED = '57014'

export const isTooSlow = (error: unknown): boolean =>
  error instanceof Error &&
  ((error as { code?: unknown }).code === ENDED || error.message === 'Query read timeout')
