/**
 * Resolves after what has already arrived was read. A timer comes before that in a turn of the event loop; so if this process was busy for
 * longer than the timer, an answer that came in time would be taken for a late one.
 */
export const nextPoll = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
