/** How soon is an event there, from its 200 at ingest to its arrival? Light, steady traffic: single events, for each destination in turn. */
import { machineMs } from '../bench/child.ts'
import { makeEvents } from '../bench/events.ts'
import { systemClock } from '../../src/pace/clock.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'
import type { Crowd } from './crowd.ts'
import { until } from './poll.ts'

export interface HowSoonNeeds {
  key: SigningKey
  crowd: Crowd
  /** POSTs items that are JSON already; throws unless they were taken. */
  post: (items: readonly string[]) => Promise<void>
  perSecond: number
}

/** Longer than the two seconds after which those that hang give way, and much less than a time-out, ms. */
const AT_MOST_MS = 20_000

/** All in ms. */
export interface Waits {
  median: number
  p90: number
  worst: number
}

export interface HowSoon {
  /** One event for a room. */
  say: (room: string) => Promise<void>
  /** Waits of events for these rooms in turn, for so long; and until all of them are there. */
  measure: (rooms: readonly string[], lastsMs: number) => Promise<Waits>
}

export function makeHowSoon({ key, crowd, post, perSecond }: HowSoonNeeds): HowSoon {
  const event = makeEvents(key)
  return {
    say: (room) => post([event(room).item]),
    async measure(rooms, lastsMs) {
      const answeredAt = new Map<number, number>()
      const posts: Promise<void>[] = []
      const start = performance.now()
      for (let i = 0; (i * 1000) / perSecond < lastsMs; i += 1) {
        const wait = start + (i * 1000) / perSecond - performance.now()
        if (wait > 0) await systemClock.sleep(wait)
        const { n, item } = event(rooms[i % rooms.length] ?? '')
        posts.push(post([item]).then(() => void answeredAt.set(n, machineMs())))
      }
      await Promise.all(posts)
      const arrivals = await until(
        async () => {
          const seen = await crowd.arrivals()
          return [...answeredAt.keys()].every((n) => seen.has(n)) && seen
        },
        { what: 'every event to arrive', withinMs: AT_MOST_MS, everyMs: 100 },
      )
      const waits = [...answeredAt].map(([n, at]) => Math.max(0, (arrivals.get(n) ?? Infinity) - at))
      waits.sort((a, b) => a - b)
      const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? NaN
      return { median: at(0.5), p90: at(0.9), worst: at(1) }
    },
  }
}

export const inWords = ({ median, p90, worst }: Waits): string =>
  `median ${median.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms, worst ${worst.toFixed(0)} ms`
