/**
 * To whom is nothing sent, by the lists of the configuration and by the operator's blocks in the database? Every process asks the database
 * once a second whether the list is still the one that it goes by, and ends at once what is under way for those that it newly names.
 *
 * Always: nothing is sent before the list was read. While the database does not answer, the last list stays in force. What is
 * owed is not touched: an unanswered transaction stays as it is. A name need not be one that was seen before.
 */
import { makeVetBlocks, type Block } from '../allow/blocks.ts'
import { isDomainGlob } from '../allow/domain-glob.ts'
import type { VetDomain } from '../allow/domains.ts'
import type { ServerName } from '../matrix/ids.ts'
import { makeFaultNotes } from '../observe/fault-notes.ts'
import type { Log } from '../observe/log.ts'
import type { Clock } from '../pace/clock.ts'
import type { Pool } from '../store/db.ts'
import { readBlocks } from '../store/delivery/blocks.ts'

export interface BlockingNeeds {
  pool: Pool
  /** By the configuration; null: nobody is blocked by it. */
  configured: VetDomain | null
  clock: Clock
  log: Log
}

export interface Blocking {
  /** By the list of the moment. */
  readonly why: VetDomain
  isBlocked: (name: string) => boolean
  /** The list that is in force now: it stays what it is, and another one is in force once this gives another one. */
  now(): VetDomain
  /** Calls `stop` when the destination is blocked, or at once if it is. Returns what ends that. */
  whenBlocked: (name: string, stop: () => void) => () => void
  /** By the configuration from now on; null: nobody is blocked by it. As quick as a block of an operator's. */
  configure(configured: VetDomain | null): void
  /** Called after each change, when all that was under way is cut off. */
  onChange(heard: () => void): void
  /** Asks the database now. */
  read(): Promise<void>
  /** Asks it every second, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** Why a signal aborts whose destination is blocked. */
export const BLOCKED = 'blocked'

/** Contract 4: in force within two seconds, in every process. */
const POLL_MS = 1_000
/** Names are remembered with their verdict until the list changes; of more than this, anew. */
const MOST_REMEMBERED = 100_000

export function makeBlocking({ pool, configured, clock, log }: BlockingNeeds): Blocking {
  let version: string | null = null
  let blocks: readonly Block[] = []
  let list = makeList(configured, blocks)
  let reading: Promise<void> = Promise.resolve()
  const watching = new Set<{ readonly name: string; readonly stop: () => void }>()
  const listeners: (() => void)[] = []
  const isBlocked = (name: string): boolean => list(name as ServerName) !== null

  async function readOnce(): Promise<void> {
    const read = await readBlocks(pool, version)
    if (read === null) return
    // Nobody can put one there but with SQL. The others count all the same.
    const [odd] = read.blocks.filter(({ glob }) => !isDomainGlob(glob))
    if (odd !== undefined)
      log.error({ glob: odd.glob }, 'a block in the database is no glob, and blocks nobody')
    blocks = read.blocks.filter(({ glob }) => isDomainGlob(glob))
    version = read.version
    renew()
  }

  /** Another list is in force from now on. */
  function renew(): void {
    list = makeList(configured, blocks)
    for (const one of [...watching]) if (isBlocked(one.name)) one.stop()
    for (const heard of listeners) heard()
  }

  // One after the other, so that an older answer never comes after a newer one.
  function read(): Promise<void> {
    reading = reading.catch(() => undefined).then(readOnce)
    return reading
  }

  return {
    why: Object.assign((name: ServerName) => list(name), { blocksNobody: () => list.blocksNobody() }),
    isBlocked,
    now: () => list,
    whenBlocked(name, stop) {
      const one = { name, stop }
      watching.add(one)
      if (isBlocked(name)) stop()
      return () => void watching.delete(one)
    },
    configure(next) {
      configured = next
      renew()
    },
    onChange: (heard) => void listeners.push(heard),
    read,
    async run(signal) {
      const faults = makeFaultNotes(log)
      for (;;) {
        await clock.sleep(POLL_MS, signal)
        if (signal.aborted) return
        await faults.note('asking whom operators block', read)
      }
    },
  }
}

type List = VetDomain & { readonly blocksNobody: () => boolean }

/** The configuration's reason goes first: to unblock would change nothing. */
function makeList(configured: VetDomain | null, blocks: readonly Block[]): List {
  const vet = makeVetBlocks(blocks)
  const nobody = configured === null && blocks.length === 0
  const known = new Map<ServerName, string | null>()
  const why = (name: ServerName): string | null => {
    if (nobody) return null
    const before = known.get(name)
    if (before !== undefined) return before
    if (known.size >= MOST_REMEMBERED) known.clear()
    const verdict = configured?.(name) ?? vet(name)
    known.set(name, verdict)
    return verdict
  }
  return Object.assign(why, { blocksNobody: () => nobody })
}
