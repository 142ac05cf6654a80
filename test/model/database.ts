/** What the model's world needs of a database: the one in memory, the real one, or both at once. */
import type { Pool } from '../../src/store/db.ts'
import { makeMemoryDatabase, type Logged, type Planted } from './memory/pool.ts'
import { GLOBS, US, type View } from './driver.ts'

export type OnCommitted = (log: readonly Logged[], view: View | null) => void

export interface Connection {
  pool: Pool
  /** Answers come without waiting for anything but locks. */
  sync: boolean
  /** A process may be held inside a transaction: a process that waits for it then is known to wait. */
  stepsInTransactions: boolean
  crash(): void
  /** The server ends its transactions, as it does with those of a process that was stopped. */
  endSessions(): void
  /** The server is gone. */
  endAll(): void
}

export interface ModelDatabase {
  connect(onCommitted: OnCommitted): Connection
  now(): number
  moveClock(byMs: number): Promise<void>
  view(): Promise<View | null>
  /** The lease of a worker is over at that time, ms since the epoch. */
  endLease(worker: string, at: number): Promise<void>
  /** It was renewed in time. */
  renew(worker: string, ms: number): Promise<void>
  /** The schedule is through; `well`: nothing of it is under way. */
  close(well: boolean): Promise<void>
  /** Returns what puts this state back; null: not to be had here. */
  backUp(): (() => void) | null
  /** A standby that gets nothing any more from now on. Returns what makes it the server; null: not to be had here. */
  standBy(): (() => void) | null
}

/** Only the one in memory. */
export function memoryDatabase(planted: Planted = {}, ran?: Set<string>): ModelDatabase {
  const memory = makeMemoryDatabase(planted, ran)

  function view(): View | null {
    const t = memory.committed()
    const d = [...t.destinations.values()].find(({ name }) => name === US)
    if (d === undefined) return null
    const gaps = [...t.gaps.values()].filter(({ destination }) => destination === d.id)
    const apart = [...t.apart.values()].filter(({ destination }) => destination === d.id)
    return {
      id: d.id,
      now: memory.now(),
      head: t.stream.get(1)?.head ?? 0,
      ...{ position: d.position, durablePos: d.durable_pos, ephemeralPos: d.ephemeral_pos },
      paused: d.paused,
      blocked: GLOBS.some((glob) => t.blocks.has(glob)),
      failures: d.failures,
      retryAt: d.retry_at,
      failingSince: d.failing_since,
      held: d.hold_until !== null && d.hold_until > memory.now(),
      lookAt: d.look_at,
      owner: d.lease_owner,
      living: [...t.workers.values()].filter((w) => w.lease_until > memory.now()).map(({ id }) => id),
      apart: apart.map(({ pos }) => pos),
      apartSince: new Map(apart.map(({ pos, since }) => [pos, since])),
      searched: apart.filter(({ grp }) => grp !== null).map(({ pos }) => pos),
      setAside: apart.filter(({ grp, next_at }) => grp === null && next_at !== null).map(({ pos }) => pos),
      heldRooms: [...t.waiting_rooms.values()]
        .filter(({ destination, held_since }) => destination === d.id && held_since !== null)
        .map(({ room }) => room),
      limited: d.isolation != null && (d.isolation.bytes !== null || d.isolation.pdus !== null),
      unsure: d.isolation?.search?.other === false ? d.isolation.search.unsure : 0,
      edusApart: [...t.edus_apart.values()]
        .filter(({ destination }) => destination === d.id)
        .map(({ pos, sure, tries, next_at }) => ({ pos, sure, tries, nextAt: next_at })),
      edusSearched: d.isolation?.edus !== undefined,
      waitingRooms: [...t.waiting_rooms.values()]
        .filter(({ destination }) => destination === d.id)
        .map(({ room, cursor }) => ({
          room: Number(/^!room(\d+):/.exec(t.rooms.get(room)?.room_id ?? '')?.[1]),
          cursor,
        })),
      openTxn: t.open_transactions.get(d.id)?.txn_id ?? null,
      gaps: gaps
        .sort((a, b) => a.id - b.id)
        .map(({ from_pos, to_pos, closed_at }) => ({ from: from_pos, to: to_pos, open: closed_at === null })),
    }
  }

  return {
    connect: (onCommitted) => {
      const connection = memory.connect((log) => {
        onCommitted(log, view())
      })
      return { ...connection, sync: true, stepsInTransactions: true }
    },
    now: memory.now,
    moveClock: (byMs) => {
      memory.moveClock(byMs)
      return Promise.resolve()
    },
    view: () => Promise.resolve(view()),
    endLease: (worker, at) => {
      const { workers } = memory.committed()
      const row = workers.get(worker)
      if (row !== undefined) workers.set(worker, { ...row, lease_until: at })
      return Promise.resolve()
    },
    renew: (worker, ms) => {
      const { workers } = memory.committed()
      const row = workers.get(worker)
      if (row !== undefined) workers.set(worker, { ...row, lease_until: memory.now() + ms })
      return Promise.resolve()
    },
    close: () => Promise.resolve(),
    backUp: () => {
      const putBack = memory.backUp()
      return () => {
        putBack()
        // Leases are short, copies are old.
        const { workers } = memory.committed()
        for (const [id, row] of workers) workers.set(id, { ...row, lease_until: 0 })
      }
    },
    standBy: () => {
      const putBack = memory.backUp()
      return () => {
        putBack()
        const { workers } = memory.committed()
        for (const [id, row] of workers) workers.set(id, { ...row, of_before: true })
      }
    },
  }
}
