/**
 * A destination that was away for long, on a server that knows 10,000 others: 100,000 events in 3,000 rooms, 100 of
 * them sticky and not lapsed. How many transactions, statements and seconds until it has caught up?
 */
import { systemClock } from '../../src/pace/clock.ts'
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { machineMs } from './child.ts'
import { startDaemon } from './daemon.ts'
import { loadKnown } from './known.ts'
import type { Fleet } from './fleet.ts'
import { forgetPeak, resident, type Resident } from './resident.ts'
import type { Setting } from './setting.ts'
import { ASIDE, countStatements, dearestStatements, resetStatements } from './statements.ts'
import { beginWindow, type Window } from './window.ts'

export interface CatchUp {
  events: number
  rooms: number
  /** Seconds from the operator's `resume` to the last transaction. */
  seconds: number
  transactions: number
  pdus: number
  sticky: number
  /** Transactions from the first one on that it took until every sticky event was there. */
  stickyWithin: number
  /** From the `resume` until its position is the head. */
  window: Window
  /** Executed by PostgreSQL for the daemon each second when nothing happens. */
  idleStatements: number
  resident: Resident | null
}

const STATE = { rooms: 3_000, serversPerRoom: 100, events: 100_000, sticky: 100 }
const OTHERS = Array.from({ length: 10_000 }, (_, i) => `other${i}.example`)
const IDLE_MS = 3_000

// The newest of each room, and what is sticky.
const DUE = `
  select count(*) as due from events e join rooms r on r.id = e.room where e.pos = r.head or e.sticky_until is not null`

export interface CatchUpOptions {
  queue: string
  database: string
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

export async function measureCatchUp(
  setting: Setting,
  fleet: Fleet,
  options: CatchUpOptions,
): Promise<CatchUp> {
  const { queue, profile } = options
  const { url, pool } = await setting.database(options.database)
  const [name = ''] = fleet.names
  await loadKnown(pool, setting.key, { ...STATE, names: OTHERS, everywhere: name, behind: [name] })
  await pool.query('update destinations set paused = true where name = $1', [name])
  const { rows } = await pool.query<{ due: number }>(DUE)
  const due = rows[0]?.due ?? 0
  const daemon = await startDaemon(setting, {
    databaseUrl: url,
    queue,
    roles: 'ingest,deliver,housekeep',
    profile,
  })
  try {
    // The first sweep is through.
    await until(
      async () => (await pool.query(`select from cursors where name = 'counted_at'`)).rowCount === 1,
      {
        what: 'the first sweep',
      },
    )
    await resetStatements(pool)
    await systemClock.sleep(IDLE_MS)
    const idleStatements = (await countStatements(pool)) / (IDLE_MS / 1000)
    forgetPeak(daemon.pid)
    await fleet.record(true)
    const before = await fleet.counts()
    await resetStatements(pool)
    const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
    const end = await beginWindow({ fleet, pids, pool })
    const began = machineMs()
    await daemon.act(name, 'resume')
    await until(async () => (await fleet.counts()).pdus - before.pdus >= due, {
      what: `${due} PDUs to arrive`,
      withinMs: 180_000,
      everyMs: 50,
    })
    await throughAt(pool, name)
    const window = await end()
    options.statements?.(await dearestStatements(pool))
    const received = await fleet.received()
    await fleet.record(false)
    return {
      events: STATE.events,
      rooms: STATE.rooms,
      seconds: ((received.at(-1)?.at ?? NaN) - began) / 1000,
      transactions: received.length,
      pdus: received.reduce((sum, { pdus }) => sum + pdus, 0),
      sticky: received.reduce((sum, { sticky }) => sum + sticky, 0),
      stickyWithin: received.findLastIndex(({ sticky }) => sticky > 0) + 1,
      window,
      idleStatements,
      resident: resident(daemon.pid),
    }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

/** Resolves when the destination's position is the stream's head: what comes now goes out in real time. */
async function throughAt(pool: Pool, name: string): Promise<void> {
  const through = `select ${ASIDE} from destinations, stream where name = $1 and position = head`
  await until(async () => (await pool.query(through, [name])).rowCount === 1, {
    what: 'the catch-up to end',
    everyMs: 100,
  })
}
