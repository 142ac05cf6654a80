/**
 * How soon is one event there when little happens? 200 requests a second, one event each, for a destination that
 * has nothing else to do; from the moment the 200 was read to the moment the transaction was read whole.
 */
import { systemClock } from '../../src/pace/clock.ts'
import { until } from '../support/poll.ts'
import { machineMs } from './child.ts'
import { makeEvents, type BenchEvent } from './events.ts'
import { soloRoom, type Scene } from './traffic.ts'

/** All in ms. */
export interface Latency {
  median: number
  p99: number
  worst: number
}

const LATENCY_MS = 10_000
/** A round of requests is no longer than this, whatever it waits for, ms. */
const AT_MOST_MS = 300_000
const REQUESTS_PER_SECOND = 200

/** @param lasts whether it still goes on, asked before each request; default: for ten seconds */
export async function measureLatency(
  { key, daemon, fleet, names }: Scene,
  lasts: (sinceMs: number) => boolean = (sinceMs) => sinceMs < LATENCY_MS,
): Promise<Latency> {
  const event = makeEvents(key)
  const answeredAt = new Map<number, number>()
  const requests: Promise<void>[] = []
  const send = async ({ n, item }: BenchEvent) => {
    await daemon.ingest([item])
    answeredAt.set(n, machineMs())
  }
  await fleet.record(true)
  const start = performance.now()
  for (let i = 0; ; i += 1) {
    const sinceMs = (i * 1000) / REQUESTS_PER_SECOND
    if (sinceMs >= AT_MOST_MS || !lasts(sinceMs)) break
    const wait = start + sinceMs - performance.now()
    if (wait > 0) await systemClock.sleep(wait)
    requests.push(send(event(soloRoom(i % names.length))))
  }
  await Promise.all(requests)
  const arrivals = await until(
    async () => {
      const seen = await fleet.arrivals()
      return seen.size === answeredAt.size && seen
    },
    { what: 'every event to arrive', withinMs: 120_000, everyMs: 200 },
  )
  await fleet.record(false)
  const waits = [...answeredAt].map(([n, at]) => Math.max(0, (arrivals.get(n) ?? Infinity) - at))
  waits.sort((a, b) => a - b)
  const at = (share: number) => waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? NaN
  return { median: at(0.5), p99: at(0.99), worst: at(1) }
}
