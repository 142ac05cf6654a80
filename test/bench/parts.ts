/** The parts of a run, each with what it needs set up before and taken down after it. */
import { migrate } from '../../src/store/migrate.ts'
import { measureBacklog } from './backlog.ts'
import { measureCatchUp } from './catch-up.ts'
import { measureDead } from './dead.ts'
import { failingLines } from './failing-lines.ts'
import { measureFailingMembers } from './failing-members.ts'
import { startFleet, type Fleet } from './fleet.ts'
import { eduWalLines, edusAwayLines, mixedLines, presenceLines } from './edu-lines.ts'
import { measureEduWal } from './edu-wal.ts'
import { measureEdusAway } from './edus-away.ts'
import { measureGrowth } from './growth.ts'
import { measureLargeRoom } from './large-room.ts'
import {
  backlogLines,
  catchUpLines,
  deadLines,
  followingLines,
  growthLines,
  largeRoomLines,
  pauseLines,
  steadyLines,
  writeSideLines,
} from './lines.ts'
import { measureMixed } from './mixed.ts'
import { measurePresence } from './presence.ts'
import { measureRaw } from './raw.ts'
import type { Report } from './report.ts'
import { measureRoad } from './road.ts'
import { roadLines } from './road-lines.ts'
import { measureRetentionPause } from './retention-pause.ts'
import { HOSTS, type Setting } from './setting.ts'
import { measureSteady } from './steady.ts'
import { measureFollowing } from './synapse.ts'
import { measureWriteSide } from './write-side.ts'

export const PARTS = [
  'raw',
  'redis',
  'postgres',
  'write',
  'large',
  'catchup',
  'growth',
  'memory',
  'dead',
  'failing',
  'road',
  'pause',
  'synapse',
  'mixed',
  'presence',
  'edu-wal',
  'edus-away',
] as const
export type Part = (typeof PARTS)[number]

export interface PartsNeeds {
  setting: Setting
  report: Report
  say: (what: string) => void
  quick: boolean
  /** Of `memory`: how many make the backlog. Default: 100,000, and then a million. */
  events?: number | undefined
  windowMs: number
  profile?: string | undefined
  statements: ((text: string) => void) | null
}

const WARM = 500
/** Of `growth`: how many get traffic, and how many others are known. */
const SIZES = [
  { warm: 100, idle: 0 },
  { warm: 100, idle: 1_000 },
  { warm: 100, idle: 10_000 },
  { warm: 1_000, idle: 0 },
  { warm: 10_000, idle: 0 },
]
const QUICK_SIZES = [
  { warm: 100, idle: 0 },
  { warm: 100, idle: 10_000 },
]
/** Of `dead`: how many get traffic beside them. */
const HEALTHY = 100
/** Each change of presence is owed to all of them. */
const PRESENCE_SERVERS = 200
const BACKLOGS = [100_000, 1_000_000]

export function makeParts(needs: PartsNeeds): Record<Part, () => Promise<void>> {
  const { setting, report, say, quick, windowMs, profile, statements } = needs
  const queues = [
    ...(setting.redisUrl === null ? [] : [{ name: 'redis', queue: setting.redisUrl }]),
    { name: 'postgres', queue: 'postgres' },
  ]
  // One queue is enough where the queue is not what is measured.
  const { name: first, queue } = queues[0] ?? { name: 'postgres', queue: 'postgres' }

  async function withFleet(
    hosts: string[],
    each: number,
    work: (fleet: Fleet) => Promise<void>,
  ): Promise<void> {
    const fleet = await startFleet(setting, hosts, each).catch(() => null)
    if (fleet === null) {
      report.leftOut(`${hosts.length * each} receivers: this machine does not let us listen so often`)
      return
    }
    try {
      await work(fleet)
    } finally {
      await fleet.stop()
    }
  }

  // The same for all that is compared with each other.
  let few: Promise<Fleet> | null = null
  const theFew = () => (few ??= startFleet(setting, HOSTS.slice(0, 1), WARM))

  async function steady(name: string): Promise<void> {
    const found = queues.find((one) => one.name === name)
    if (found === undefined) return
    say(`steady traffic to ${WARM} destinations, queue on ${name}`)
    const options = { queue: found.queue, database: `steady_${name}`, windowMs, profile, statements }
    report.add(steadyLines(name, await measureSteady(setting, await theFew(), options)))
  }

  return {
    raw: async () => {
      say('the raw loop')
      report.raw(await measureRaw(setting, await theFew(), windowMs))
    },
    redis: () => steady('redis'),
    postgres: () => steady('postgres'),
    write: async () => {
      for (const { name, queue } of queues) {
        say(`the write side, queue on ${name}`)
        const options = { queue, database: `write_${name}`, profile }
        report.add(writeSideLines(name, await measureWriteSide(setting, options)))
      }
    },
    large: async () => {
      say(`a room of 5,000 servers, queue on ${first}`)
      await withFleet(HOSTS, 500, async (fleet) => {
        report.add(
          largeRoomLines(
            first,
            await measureLargeRoom(setting, fleet, {
              queue,
              database: 'large',
              bursts: 5,
              profile,
              statements,
            }),
          ),
        )
      })
    },
    catchup: async () => {
      say(`one destination that catches up, queue on ${first}`)
      const options = { queue, database: 'catch_up', profile, statements }
      await withFleet(HOSTS.slice(0, 1), 1, async (fleet) => {
        report.add(catchUpLines(first, await measureCatchUp(setting, fleet, options)))
      })
    },
    growth: async () => {
      const sizes = quick ? QUICK_SIZES : SIZES
      await withFleet(HOSTS, Math.max(...sizes.map(({ warm }) => warm)) / HOSTS.length, async (fleet) => {
        for (const { warm, idle } of sizes) {
          say(`traffic to ${warm} destinations, ${idle} more idle, queue on ${first}`)
          const options = { queue, database: `growth_${warm}_${idle}`, warm, idle, profile, statements }
          report.add(growthLines(first, await measureGrowth(setting, fleet, options)))
        }
      })
    },
    memory: async () => {
      for (const events of needs.events === undefined ? BACKLOGS.slice(0, quick ? 1 : 2) : [needs.events]) {
        say(`a backlog of ${events} events for 10,000 destinations, queue on ${first}`)
        const options = { queue, database: `backlog_${events}`, events, profile, statements }
        report.add(backlogLines(first, await measureBacklog(setting, await theFew(), options)))
      }
    },
    dead: async () => {
      const size = quick ? { dead: 1_000, rounds: 1 } : { dead: 10_000, rounds: 3 }
      say(`${HEALTHY} destinations beside ${size.dead} dead ones, queue on ${first}`)
      const options = { queue, database: 'dead', ...size, profile, statements }
      await withFleet(HOSTS.slice(0, 1), HEALTHY, async (fleet) => {
        report.add(deadLines(first, await measureDead(setting, fleet, options)))
      })
    },
    failing: async () => {
      say(`ingest while failing servers are owed new sticky events, queue on ${first}`)
      await withFleet(HOSTS.slice(0, 1), HEALTHY, async (fleet) => {
        const options = { queue, database: 'failing', windowMs: quick ? 10_000 : 30_000, profile }
        report.add(failingLines(first, await measureFailingMembers(setting, fleet, options)))
      })
    },
    road: async () => {
      const rounds = quick ? 1 : 3
      say(`${HEALTHY} destinations found beside ${4 * HEALTHY} with trouble on the way, queue on ${first}`)
      const options = { queue, database: 'road', healthy: HEALTHY, rounds, profile, say }
      report.add(roadLines(first, await measureRoad(setting, options)))
    },
    pause: async () => {
      const readerMs = quick ? 5_000 : 30_000
      say(`a part of the log goes while a session reads it for ${readerMs / 1000} s`)
      const { url, pool } = await setting.database('pause')
      await migrate(pool)
      await pool.end()
      report.add(pauseLines(await measureRetentionPause({ url, readerMs })))
    },
    synapse: async () => {
      say('a Synapse that is followed')
      if (setting.redisUrl === null) {
        report.leftOut('a Synapse that is followed: no redis-server')
        return
      }
      const sizes = quick ? { events: 30, idleMs: 30_000 } : { events: 100, idleMs: 60_000 }
      const options = { redis: setting.redisUrl, rooms: 25_000, ...sizes, profile }
      report.add(followingLines(await measureFollowing(setting, options)))
    },
    mixed: async () => {
      const pairs = quick ? 1 : 3
      say(`receipts and typing beside events to ${WARM} destinations, queue on ${first}`)
      const options = { queue, database: 'mixed', windowMs, pairs, profile, statements }
      report.add(mixedLines(first, await measureMixed(setting, await theFew(), options)))
    },
    presence: async () => {
      say(`presence for ${PRESENCE_SERVERS} servers, queue on ${first}`)
      const options = { queue, database: 'presence', windowMs: quick ? 20_000 : 120_000, profile, statements }
      await withFleet(HOSTS.slice(0, 1), PRESENCE_SERVERS, async (fleet) => {
        report.add(presenceLines(first, await measurePresence(setting, fleet, options)))
      })
    },
    'edu-wal': async () => {
      say(`the WAL of EDUs, queue on ${first}`)
      const options = { queue, database: 'edu_wal', profile }
      report.add(eduWalLines(first, await measureEduWal(setting, options)))
    },
    'edus-away': async () => {
      say(`a destination that was away for a day of EDUs, queue on ${first}`)
      const options = { queue, database: 'edus_away', profile, statements }
      await withFleet(HOSTS.slice(0, 1), 1, async (fleet) => {
        report.add(edusAwayLines(first, await measureEdusAway(setting, fleet, options)))
      })
    },
  }
}
