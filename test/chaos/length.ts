/**
 * How much the crash tests do: a little in `npm run test:crash`, everything in `npm run test:chaos` (docs/chaos.md).
 * `LIMPET_CHAOS=long` turns on what is left out otherwise, `LIMPET_KILLS` is how often processes are killed.
 * The same things go wrong in both, and what is asserted is the same.
 */
export const AT_LENGTH = process.env['LIMPET_CHAOS'] === 'long'
export const KILLS = Number(process.env['LIMPET_KILLS'] ?? (AT_LENGTH ? 50 : 4))
/** Remotes where a test doesn't say: three misbehave. */
export const REMOTES = AT_LENGTH ? 8 : 5
/** How often the queue is emptied, half of it during traffic. */
export const EMPTIED = AT_LENGTH ? 20 : 6
/** How often PostgreSQL is restarted, and a process that delivers is ended. */
export const STOPS = AT_LENGTH ? 3 : 2

/** `it`, but only at length. */
export const itAtLength: (title: string, test: Mocha.AsyncFunc) => void = AT_LENGTH ? it : () => undefined

/** `it`, but in short on one of the queues only: for what happens to processes and the database, and differs little by queue. */
export const itOnOne = (queue: string): typeof itAtLength => (queue === 'PostgreSQL' ? it : itAtLength)
