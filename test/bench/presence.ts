/**
 * A thousand users change their presence a thousand times a second, and each change is owed to 200 servers: 200,000 deliveries a second, if each went
 * by itself. What goes is the latest of each user, about every ten seconds (contract 5.10 lets presence wait for company). Nothing else happens. In the end every
 * server must know the last state of every user.
 */
import { systemClock } from '../../src/pace/clock.ts'
import { makeDice } from '../../src/simulate/story/dice.ts'
import { until } from '../support/poll.ts'
import { beginCosts, type Costs } from './costs.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { presenceItem, userOf } from './edu-items.ts'
import type { PresenceSeen } from './edus-received.ts'
import type { Fleet } from './fleet.ts'
import { forgetPeak, resident, type Resident } from './resident.ts'
import type { Setting } from './setting.ts'
import { dearestStatements, resetStatements } from './statements.ts'
import { meetAll, openRooms, type Scene } from './traffic.ts'

export interface PresenceTraffic {
  users: number
  servers: number
  /** Changes that were taken, a second. */
  changesPerSecond: number
  seconds: number
  /** At each server, in ten seconds. */
  transactions: number
  edus: number
  updates: number
  /** Of all of them. */
  costs: Costs
  /** Before it began, and at most. */
  residentBefore: Resident | null
  resident: Resident | null
  /** When nothing had come any more for a while. */
  seen: PresenceSeen
  /** From the last change until every server knew all, s. */
  settledAfter: number
}

export interface PresenceOptions {
  queue: string
  database: string
  windowMs: number
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

const USERS = 1_000
const CHANGES_PER_SECOND = 1_000
const REQUESTS_PER_SECOND = 20
/** Two times ten seconds, so that what is measured is not how it begins. */
const WARM_UP_MS = 20_000
const TEN_SECONDS = 10_000
/** Changes are at most so old when they arrive, if all is well: ten seconds of company, and some for a busy machine. */
const SETTLE_MS = 60_000

export async function measurePresence(
  setting: Setting,
  fleet: Fleet,
  options: PresenceOptions,
): Promise<PresenceTraffic> {
  const { url, pool } = await setting.database(options.database)
  const daemon = await startDaemon(setting, {
    databaseUrl: url,
    queue: options.queue,
    roles: 'ingest,deliver,housekeep',
    profile: options.profile,
  })
  try {
    const { names } = fleet
    const scene: Scene = { key: setting.key, daemon, fleet, names, pool }
    await openRooms(scene)
    await openHalves(daemon, names)
    await meetAll(scene)
    await fleet.notePresence()
    const changes = makeChanges(daemon)
    const residentBefore = resident(daemon.pid)
    const producing = changes.run()
    await Promise.race([producing, systemClock.sleep(WARM_UP_MS)])
    forgetPeak(daemon.pid)
    if (options.statements) await resetStatements(pool)
    const before = { ...(await fleet.counts()), given: changes.count(), updates: await updatesAt(fleet) }
    const end = await beginCosts(
      { limpet: daemon.pid, postgres: setting.postgres.pid(), receivers: fleet.pids },
      pool,
    )
    await Promise.race([producing, systemClock.sleep(options.windowMs)])
    const costs = await end()
    const after = { ...(await fleet.counts()), given: changes.count(), updates: await updatesAt(fleet) }
    const memory = resident(daemon.pid)
    options.statements?.(await dearestStatements(pool))
    changes.stop()
    await producing
    const { seen, settledAfter } = await settled(fleet, changes.latest)
    const inTen = (figure: 'transactions' | 'edus' | 'updates') =>
      ((after[figure] - before[figure]) * TEN_SECONDS) / costs.ms / names.length
    return {
      ...{ users: USERS, servers: names.length, seconds: costs.ms / 1000 },
      changesPerSecond: ((after.given - before.given) * 1000) / costs.ms,
      ...{ transactions: inTen('transactions'), edus: inTen('edus'), updates: inTen('updates') },
      ...{ costs, residentBefore, resident: memory, seen, settledAfter },
    }
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

const updatesAt = async (fleet: Fleet): Promise<number> => (await fleet.presence(new Map())).updates

const half = (n: number) => `!half${n}:home.example`

/** Two rooms hold all servers once, and two others again, cut elsewhere: so there are two sets of rooms. */
async function openHalves(daemon: Daemon, names: readonly string[]): Promise<void> {
  const middle = names.length / 2
  const turned = [...names.slice(middle / 2), ...names.slice(0, middle / 2)]
  const items = [names, turned].flatMap((all, i) =>
    [all.slice(0, middle), all.slice(middle)].map((set, j) =>
      JSON.stringify({ type: 'servers', room_id: half(2 * i + j), set }),
    ),
  )
  await daemon.ingest(items)
}

interface Changes {
  /** Until `stop`. Requests go one after another: where they take long, there are fewer. */
  run(): Promise<void>
  stop(): void
  count(): number
  /** The number of each user's last change. */
  latest: ReadonlyMap<string, number>
}

function makeChanges(daemon: Daemon): Changes {
  const dice = makeDice(1)
  const latest = new Map<string, number>()
  let count = 0
  let stopped = false
  const change = () => {
    const number = dice.below(USERS)
    const user = userOf(number)
    const first = 2 * (number % 2)
    latest.set(user, (count += 1))
    return presenceItem([half(first), half(first + 1)], user, count)
  }
  return {
    async run() {
      const start = performance.now()
      for (let i = 1; !stopped; i += 1) {
        await daemon.ingest(Array.from({ length: CHANGES_PER_SECOND / REQUESTS_PER_SECOND }, change))
        const wait = start + (i * 1000) / REQUESTS_PER_SECOND - performance.now()
        if (wait > 0) await systemClock.sleep(wait)
      }
    },
    stop: () => (stopped = true),
    count: () => count,
    latest,
  }
}

/** Waits until every server knows all, or no longer: what is missing then is told. */
async function settled(
  fleet: Fleet,
  latest: ReadonlyMap<string, number>,
): Promise<{ seen: PresenceSeen; settledAfter: number }> {
  const start = performance.now()
  let seen = await fleet.presence(latest)
  await until(
    async () => {
      seen = await fleet.presence(latest)
      return seen.behind === 0 || performance.now() - start > SETTLE_MS
    },
    { what: 'the last state of every user to be known', withinMs: 2 * SETTLE_MS, everyMs: 250 },
  )
  return { seen, settledAfter: (performance.now() - start) / 1000 }
}
