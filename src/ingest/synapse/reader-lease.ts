/**
 * Which of several limpet processes reads a Synapse? One at a time; the others stand by.
 *
 * The lease only saves work. Each window is taken once however many processes read, because the stored token moves
 * only from where its reader thought it was. So a late lease, or an older release that knows no lease, costs
 * statements and nothing else. The lease expires by the time of limpet's database; its holder goes by its own clock,
 * and stops earlier.
 */
import type { Clock } from '../../pace/clock.ts'
import { repeat } from '../../pace/repeat.ts'
import type { Log } from '../../observe/log.ts'

export interface ReaderLeaseNeeds {
  /** Takes it, or takes it again, for `ms`; false: another process has it. */
  readonly take: (ms: number) => Promise<boolean>
  readonly release: () => Promise<void>
  /** Called each time this process begins to read; `another`: after another one. */
  readonly onTaken?: (another: boolean) => void
  readonly clock: Clock
  readonly log: Log
}

export interface ReaderLease {
  held(): boolean
  /** Resolves when this process may read, or `signal` aborts. */
  wait(signal: AbortSignal): Promise<void>
  /**
   * Another process may try, which perhaps can reach what this one cannot. Not again for a while: perhaps no process can. But at once
   * again where the last other one had it for a minute: that one could.
   */
  giveWay(): Promise<void>
  /** Tries to have it until `signal` aborts. */
  keep(signal: AbortSignal): Promise<void>
  /** Gives it back; call it when nothing is read any more. */
  release(): Promise<void>
}

/** A process that is killed is followed by the next one after this and a round, ms. */
export const LEASE_MS = 5_000
export const ROUND_MS = 1_500
/** The holder stops before others may begin, ms. */
const EARLIER_MS = 500
/** How long a process that gives way lets others try, and how long it then does not give way again, ms. */
const AWAY_MS = 2 * LEASE_MS
const GIVE_WAY_EVERY_MS = 300_000
/** A process that cannot read gives way sooner than this, ms. */
const COULD_READ_MS = 60_000

export function makeReaderLease(needs: ReaderLeaseNeeds): ReaderLease {
  const { take, release, onTaken, clock, log } = needs
  let until = -Infinity
  let said: boolean | null = null
  let gaveWayAt = -Infinity
  /** Since when another process has it; null: none was seen with it since this one had it. */
  let anotherSince: number | null = null
  let anotherCould = false
  const waiting = new Set<() => void>()
  const held = () => clock.monotonic() < until

  async function round(): Promise<void> {
    const asked = clock.monotonic()
    let mine: boolean
    try {
      mine = await take(LEASE_MS)
    } catch (error) {
      // It runs on for as long as it was given.
      log.debug({ err: error }, 'Synapse: could not ask whether this process may read')
      return
    }
    if (!mine) anotherSince ??= asked
    else if (anotherSince !== null) {
      anotherCould = asked - anotherSince >= COULD_READ_MS
      anotherSince = null
    }
    until = mine ? asked + LEASE_MS - EARLIER_MS : -Infinity
    if (mine !== said)
      log.info(mine ? 'Synapse: this process reads it' : 'Synapse: another process reads it; standing by')
    if (mine && said !== true) onTaken?.(said === false)
    said = mine
    if (held()) for (const go of waiting) go()
  }

  async function letGo(): Promise<void> {
    if (!held()) return
    until = -Infinity
    // Where limpet's database is away it lapses.
    await release().catch((error: unknown) => {
      log.debug({ err: error }, 'Synapse: could not give back the lease')
    })
  }

  return {
    held,
    async wait(signal) {
      if (held() || signal.aborted) return
      await new Promise<void>((resolve) => {
        const go = () => {
          waiting.delete(go)
          signal.removeEventListener('abort', go)
          resolve()
        }
        waiting.add(go)
        signal.addEventListener('abort', go, { once: true })
      })
    },
    async giveWay() {
      if (!held()) return
      if (!anotherCould && clock.monotonic() - gaveWayAt < GIVE_WAY_EVERY_MS) return
      gaveWayAt = clock.monotonic()
      await letGo()
    },
    keep: (signal) =>
      repeat(
        async () => {
          if (clock.monotonic() - gaveWayAt >= AWAY_MS) await round()
        },
        { clock, everyMs: ROUND_MS },
        signal,
      ),
    release: letGo,
  }
}
