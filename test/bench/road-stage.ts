/** What the rounds of the part `road` share: its servers, its daemon, how it begins and when it has ended. */
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import type { Child } from './child.ts'
import { startDaemon } from './daemon.ts'
import type { BenchEvent } from './events.ts'
import { roadKind } from './road-names.ts'
import type { Setting } from './setting.ts'
import { ASIDE } from './statements.ts'

export interface RoadOptions {
  queue: string
  database: string
  healthy: number
  rounds: number
  profile?: string | undefined
  say: (what: string) => void
}

export const ROOMS = {
  alone: '!alone:home.example',
  beside: '!beside:home.example',
  others: '!others:home.example',
} as const
/** Until the last of the others has failed or got its event. */
const WHOLE_ROUND_MS = 120_000

export interface Stage {
  setting: Setting
  options: RoadOptions
  url: string
  pool: Pool
  names: readonly string[]
  ports: { https: number; matrix: number; dns: number }
  resolving: Child
  serving: Child
  event: (room: string) => BenchEvent
}

export const daemonFor = ({ setting, options, url, ports }: Stage) =>
  startDaemon(setting, {
    ...{
      databaseUrl: url,
      queue: options.queue,
      roles: 'ingest,deliver,housekeep',
      profile: options.profile,
    },
    federation: {
      dns_servers: [`127.0.0.1:${ports.dns}`],
      ip_allowlist: ['127.0.0.0/8', '::1/128'],
    },
    // What hangs at the end of a round is of no interest.
    ...{ ports, graceMs: 100 },
  })

export const healthyOf = (names: readonly string[]) => names.filter((name) => roadKind(name) === 'healthy')

export function arrivedAt(serving: Child, wanted: readonly string[]): Promise<number[]> {
  return until(
    async () => {
      const seen = await serving.ask<Map<string, number>>('arrivals')
      return wanted.every((name) => seen.has(name)) && wanted.map((name) => seen.get(name) ?? Infinity)
    },
    { what: 'the event to be at the healthy', withinMs: 300_000, everyMs: 50 },
  )
}

/** The silent have failed once, the others have it. */
export async function ended({ pool, names, serving }: Stage): Promise<void> {
  const silent = names.filter((name) => roadKind(name) === 'silent')
  const others = names.filter((name) => roadKind(name) !== 'silent')
  await arrivedAt(serving, others)
  await until(
    async () => {
      const { rows } = await pool.query<{ failed: number }>(FAILED, [silent])
      return (rows[0]?.failed ?? 0) >= silent.length
    },
    { what: 'the silent to have failed', withinMs: WHOLE_ROUND_MS, everyMs: 200 },
  )
}

// Owed nothing; $1: as if all had answered until now, or as if nobody ever had.
export const SET_BACK = `
  update destinations set ${ASIDE} position = (select head from stream), lease_owner = null, follows = false, failures = 0,
         failing_since = null, retry_at = null, retry_interval = null, look_at = null, quick = $1, lists = $1,
         last_success = case when $1 then now_ms() end`

const FAILED = `select ${ASIDE} count(*)::int as failed from destinations where failures > 0 and name = any($1)`
