/**
 * Loaded into a limpet before its program: with each SIGUSR2 a minute has passed by its monotonic clock, as for a process that was
 * suspended. So a story need not wait for what a limpet does only a minute later.
 */
const MINUTE_MS = 60_000

const real = performance.now.bind(performance)
let ahead = 0
performance.now = () => real() + ahead
process.on('SIGUSR2', () => (ahead += MINUTE_MS))
