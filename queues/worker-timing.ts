/**
 * How soon a job comes back after its worker has died, in ms. BullMQ's defaults take up to 37 s.
 *
 * If a lock expires while its worker still lives (a blocked event loop), two jobs for one destination become active.
 * No setting prevents that; the lease in the destination's row does.
 */
export const WORKER_TIMING = {
  lockDuration: 5_000,
  stalledInterval: 3_000,
  // A job that is taken back more often than this fails without running. Not after the second crash, as by default.
  maxStalledCount: 10,
  /** After an error of the connection, before the next look. */
  runRetryDelay: 500,
}
