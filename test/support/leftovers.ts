/**
 * What a test run must not leave behind: servers and directories. Everything that support code starts
 * is entered here; the root hook clears it in good order, and where the run is cut short (Ctrl-C,
 * SIGTERM, an uncaught error) it is at least killed.
 */
interface Leftover {
  /** The good way, awaited by the root hook. */
  clear(): Promise<void>
  /** The quick way, while the process exits: synchronous, may throw. */
  kill(): void
}

const leftovers = new Set<Leftover>()
let listening = false

/** Enters one; returns what takes it out again, for who clears it itself. */
export function leaveBehind(leftover: Leftover): () => void {
  if (!listening) listen()
  leftovers.add(leftover)
  return () => leftovers.delete(leftover)
}

/** Clears all, the newest first. */
export async function clearLeftovers(): Promise<void> {
  for (const leftover of [...leftovers].reverse()) {
    leftovers.delete(leftover)
    await leftover.clear()
  }
}

function listen(): void {
  listening = true
  process.on('exit', () => {
    for (const leftover of leftovers) {
      try {
        leftover.kill()
      } catch {
        // It was gone already; the next one still has its turn.
      }
    }
  })
  // Node's default for these ends the process without telling anybody. Mocha itself cares for SIGINT.
  for (const [signal, status] of [
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => process.exit(status))
  }
}
