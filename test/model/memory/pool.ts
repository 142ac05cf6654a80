/**
 * A PostgreSQL for the statements of `src/store` and no others, in memory: transactions, row and advisory locks,
 * READ COMMITTED. Whether it behaves as the real one is shown by running the same schedules on both (`twin.ts`).
 *
 * Time stands still until it is moved. Nothing waits but for a lock, so a run is the same every time.
 */
import type { Pool } from '../../../src/store/db.ts'
import { Blocked, makeLocks } from './locks.ts'
import { RULES, type Rules } from './rules.ts'
import { CONTENT } from './ingest/content.ts'
import { INGEST_EDUS } from './ingest/edus.ts'
import { INGEST } from './ingest/ingest.ts'
import { APART } from './delivery/apart.ts'
import { QUARANTINE } from './delivery/quarantine.ts'
import { BLOCKS } from './delivery/blocks.ts'
import { EDUS } from './delivery/edus.ts'
import { EDUS_APART } from './delivery/edus-apart.ts'
import { FOLLOW, LEASES } from './delivery/leases.ts'
import { LOAD } from './delivery/load.ts'
import { OWN_TROUBLE } from './delivery/own-trouble.ts'
import { FORGET_EDUS } from './upkeep/forget-edus.ts'
import { RETENTION } from './upkeep/retention.ts'
import { RESULTS } from './delivery/results.ts'
import { SEEN } from './upkeep/seen.ts'
import { SET_BACK } from './upkeep/set-back.ts'
import { SKIPS } from './delivery/skips.ts'
import { STICKY_END } from './upkeep/sticky-end.ts'
import { TRANSACTIONS } from './delivery/transactions.ts'
import { WAKES } from './delivery/wakes.ts'
import { isBegin, nameOf } from './statement.ts'
import type { Result, Run, TwinName } from './statement.ts'
import { copyTables, emptyTables, makeSight, type Committed, type Sight } from './tables.ts'

/** All of them: who writes a statement and forgets its twin is told so by the compiler. */
export const TWINS: Readonly<Record<TwinName, Run>> = {
  ...INGEST,
  ...CONTENT,
  ...INGEST_EDUS,
  ...EDUS,
  ...EDUS_APART,
  ...LEASES,
  ...FOLLOW,
  ...LOAD,
  ...TRANSACTIONS,
  ...RESULTS,
  ...WAKES,
  ...BLOCKS,
  ...OWN_TROUBLE,
  ...FORGET_EDUS,
  ...RETENTION,
  ...SEEN,
  ...SET_BACK,
  ...STICKY_END,
  ...SKIPS,
  ...APART,
  ...QUARANTINE,
}

/** Put in the place of what is right, to show that the model test sees it. */
export interface Planted {
  rules?: Partial<Rules>
  /** A process was killed. */
  crash?: (committed: Committed) => void
  statements?: Partial<Record<TwinName, (right: Run) => Run>>
}

/** @throws Error for a statement that has no twin */
function twinName(text: string): TwinName {
  const name = nameOf(text)
  if (name in TWINS) return name as TwinName
  throw new Error(`“${name}” has no twin: give it one, and take it out of test/model/not-run.ts`)
}

/** A statement that was committed, and what it gave. */
export interface Logged {
  name: TwinName
  values: readonly unknown[]
  rows: readonly object[]
  rowCount: number
}

/** What one process has of it. */
export interface Connection {
  pool: Pool
  /** Statements that wait for a lock. */
  blocked(): number
  /** Its transactions are rolled back, and what it still asks is never answered. */
  crash(): void
  /** Its transactions are rolled back by the server; it is told so at its next statement. */
  endSessions(): void
  /** So are its statements that wait, which are outside of any transaction: the server is gone. */
  endAll(): void
}

export interface MemoryDatabase {
  /** `onCommitted` is called in the very moment of each commit. */
  connect(onCommitted?: (log: readonly Logged[]) => void): Connection
  now: () => number
  moveClock(byMs: number): void
  /** What is committed. */
  committed(): Committed
  backUp(): () => void
}

interface Session {
  sight: Sight
  inTransaction: boolean
  dead: boolean
  /** Ended by the server. */
  ended: boolean
  log: Logged[]
}

/** `ran`: gets the name of everything that is run. */
export function makeMemoryDatabase(planted: Planted = {}, ran?: Set<string>): MemoryDatabase {
  const rules: Rules = { ...RULES, ...planted.rules }
  const locks = makeLocks()
  let committed = emptyTables()
  let now = 1_700_000_000_000
  const sequences = { rooms: 0, destinations: 0, recipients: 0, gaps: 0, edu_rooms: 0 }
  const spare: Sight[] = []
  const next = (sequence: keyof typeof sequences) => (sequences[sequence] += 1)

  function execute({ sight, log }: Session, text: string, values: readonly unknown[]): Result {
    const name = twinName(text)
    const run = TWINS[name]
    ran?.add(name)
    const doIt = planted.statements?.[name]?.(run) ?? run
    const lock = (key: string, how: 'exclusive' | 'shared') => {
      locks.take(sight, key, how)
    }
    try {
      const result = doIt({ t: sight.t, now, rules, next, lock }, values as never[])
      sight.keep()
      const rows = typeof result === 'number' ? [] : result
      log.push({ name, values, rows, rowCount: typeof result === 'number' ? result : rows.length })
      return result
    } catch (error) {
      sight.forget()
      throw error
    }
  }

  function connect(onCommitted: (log: readonly Logged[]) => void = () => undefined): Connection {
    const sessions = new Set<Session>()
    let blocked = 0

    function open(inTransaction: boolean): Session {
      const sight = spare.pop() ?? makeSight(() => committed, locks)
      const session = { sight, inTransaction, dead: false, ended: false, log: [] }
      sessions.add(session)
      return session
    }
    function close(session: Session, commit: boolean): void {
      if (!sessions.delete(session) || session.dead || session.ended) return
      if (commit) session.sight.commit()
      else session.sight.rollback()
      spare.push(session.sight)
      if (commit) onCommitted(session.log)
    }

    async function run(session: Session, text: string, values: readonly unknown[]) {
      for (;;) {
        if (session.dead) await never()
        if (session.ended) throw Object.assign(new Error('terminating connection'), { code: '25P03' })
        try {
          const result = execute(session, text, values)
          // What it read and its commit are one moment: nobody else's commit comes between.
          if (!session.inTransaction) close(session, true)
          const rows = typeof result === 'number' ? [] : result
          return { rows, rowCount: typeof result === 'number' ? result : rows.length }
        } catch (error) {
          if (!(error instanceof Blocked)) throw error
          blocked += 1
          await locks.wait(session.sight, error.key).finally(() => {
            if (!session.dead) blocked -= 1
          })
        }
      }
    }

    async function query(text: string, values: readonly unknown[] = []) {
      const session = open(false)
      try {
        return await run(session, text, values)
      } catch (error) {
        close(session, false)
        throw error
      }
    }

    function client() {
      let session: Session | null = null
      return {
        async query(text: string, values: readonly unknown[] = []) {
          if (isBegin(text)) session = open(true)
          else if (text === 'commit' || text === 'rollback') {
            if (session?.ended === true)
              throw Object.assign(new Error('terminating connection'), { code: '25P03' })
            if (session !== null) close(session, text === 'commit')
            session = null
          } else if (session === null) return query(text, values)
          else return run(session, text, values)
          return { rows: [], rowCount: 0 }
        },
        release: () => {
          if (session !== null) close(session, false)
        },
        on: () => undefined,
        off: () => undefined,
      }
    }

    function endAll(how: 'dead' | 'ended', only: (session: Session) => boolean = () => true): void {
      for (const session of sessions) {
        if (session.ended || !only(session)) continue
        session.sight.rollback()
        session[how] = true
      }
      if (how === 'dead') sessions.clear()
      if (how === 'dead') blocked = 0
    }

    return {
      pool: { query, connect: () => Promise.resolve(client()), on: () => undefined } as unknown as Pool,
      blocked: () => blocked,
      crash: () => {
        endAll('dead')
        planted.crash?.(committed)
      },
      endSessions: () => {
        endAll('ended', ({ inTransaction }) => inTransaction)
      },
      endAll: () => {
        endAll('ended')
      },
    }
  }

  return {
    connect,
    now: () => now,
    moveClock: (byMs) => {
      now += Math.round(byMs)
    },
    committed: () => committed,
    backUp: () => {
      const copy = copyTables(committed)
      const numbers = { ...sequences }
      return () => {
        committed = copyTables(copy)
        Object.assign(sequences, numbers)
        locks.clear()
      }
    },
  }
}

/** A new one each time: what waits for one that lives for ever is never forgotten. */
const never = () => new Promise<never>(() => undefined)
