/**
 * What a test run must not leave behind: servers and directories. Everything that support code starts
 * is entered here; the root hook clears it in good order, and where the run is cut short (Ctrl-C,
 * SIGTERM, an uncaught error) it is at least killed.
 */
import { readFileSync } from 'node:fs'

interface Leftover {
  /** The good way, awaited by the root hook. */
  clear(): Promise<void>
  /** The quick way, while the process exits: synchronous, may throw. */
  kill(): void
}

const leftovers = new Set<Leftover>()
let listening = false

/** For `kill`: ends a server and waits until it is gone, for seconds at most: what it still wrote would stay behind. */
export function endNow(pid: number, signal: NodeJS.Signals): void {
  process.kill(pid, signal)
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  for (let waited = 0; waited < 5_000 && isAlive(pid); waited += 20) Atomics.wait(nobody, 0, 0, 20)
}

/** A child that ended is still known until it is waited for, which is not now. Without /proc: no. */
function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

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
