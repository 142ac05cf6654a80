/**
 * How often was each address dialled at which nothing answers? A black hole sees nothing of that, so the system's table of connections
 * is read again and again: who dials holds a port of its own until the dial is given up, which takes longer than the time between two looks.
 */
import { readFileSync } from 'node:fs'
import { systemClock } from '../../src/pace/clock.ts'

const LOOK_MS = 100
/** `TCP_SYN_SENT` of Linux. */
const DIALLING = '02'

export interface Dialled {
  /** By address: how many dials so far. */
  counts(): Map<string, number>
  stop(): Promise<void>
}

/** Dials to `port`, from now on. Linux only: elsewhere nothing is counted. */
export function watchDials(port: number): Dialled {
  const seen = new Map<string, Set<string>>()
  const over = new AbortController()
  const watching = (async () => {
    while (!over.signal.aborted) {
      for (const { address, from } of dialsTo(port)) {
        const ports = seen.get(address) ?? new Set()
        seen.set(address, ports.add(from))
      }
      await systemClock.sleep(LOOK_MS, over.signal)
    }
  })()
  return {
    counts: () => new Map([...seen].map(([address, ports]) => [address, ports.size])),
    async stop() {
      over.abort()
      await watching
    },
  }
}

/** Of /proc/net/tcp: `sl local_address rem_address st …`, addresses as hexadecimal numbers in the machine's order of bytes. */
function dialsTo(port: number): { address: string; from: string }[] {
  const wanted = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return table().flatMap((line) => {
    const [, from = '', to = '', state] = line.trim().split(/\s+/)
    return state === DIALLING && to.endsWith(wanted) ? [{ address: addressOf(to), from }] : []
  })
}

function addressOf(text: string): string {
  const bytes = Buffer.from(text.slice(0, 8), 'hex')
  return [...bytes.reverse()].join('.')
}

function table(): string[] {
  try {
    return readFileSync('/proc/net/tcp', 'utf8').split('\n')
  } catch {
    return []
  }
}
