/**
 * How fast a job comes back whose worker died, in ms: BullMQ's defaults take up to 37 s.
 *
 * A lock that ran out although its worker lives (a blocked event loop) makes two active jobs for one destination;
 * no setting prevents that, the lease in the destination's row does.
 */
export const WORKER_TIMING = {
  lockDuration: 5_000,
  stalledInterval: 3_000,
  // A job that is taken back more often than this fails without running. Not after the second crash, as by default.
  maxStalledCount: 10,
  /** After an error of the connection, before the next look. */
  runRetryDelay: 500,
}
