/** What a process saw of the time counts, however seldom it sweeps, and however soon it is restarted. */
import { expect } from 'chai'
import type { Queues } from '../../../queues/queues.ts'
import type { Clock } from '../../../src/pace/clock.ts'
import { loadConfig } from '../../../src/config/config.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import { startHousekeeping } from '../../../src/daemon/start-housekeeping.ts'
import { until } from '../../support/poll.ts'
import { HOUR } from '../../ingest/ingest-world.ts'
import { makeRetentionWorld, type RetentionWorld } from './retention-world.ts'

const SECOND = 1_000
const MINUTE = 60_000
/** The sweep, retention, and the look at the clocks: time is not moved in the middle of one. */
const LOOPS = 3
/** With the log's usual length: what a mark takes is not asked here. */
const SETTINGS = { LIMPET_SERVER_NAME: 'home.example', LIMPET_SWEEP_INTERVAL_MS: String(HOUR) }

describe('time that a process sees which sweeps every hour', () => {
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
  })
  afterEach(() => world.close())

  const seenMs = async () => Number(await world.value('select seen_ms from seen_time'))

  /** A process with a clock that only `passes` moves; the database's goes with it. */
  async function start() {
    let monotonic = 0
    const sleepers = new Set<{ until: number; wake: () => void }>()
    const clock: Clock = {
      now: () => Date.now(),
      monotonic: () => monotonic,
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          const sleeper = {
            until: monotonic + ms,
            wake: () => {
              sleepers.delete(sleeper)
              signal?.removeEventListener('abort', sleeper.wake)
              resolve()
            },
          }
          if (signal?.aborted === true) {
            resolve()
            return
          }
          sleepers.add(sleeper)
          signal?.addEventListener('abort', sleeper.wake, { once: true })
        }),
    }
    const queues = { nudgeFanout: () => Promise.resolve(), counts: () => Promise.resolve({}) }
    const config = loadConfig({ env: SETTINGS, cwd: '/' })
    const housekeeping = startHousekeeping({
      ...{ config, configNow: () => config },
      pool: world.pool,
      queues: queues as unknown as Queues,
      ...{
        wake: () => Promise.resolve(),
        vetDomain: null,
        metrics: makeMetrics({ runtime: false }),
        clock,
        mayWork: () => true,
      },
      log: makeLog({ level: 'silent', pretty: false }),
    })
    const settled = () => until(() => sleepers.size === LOOPS, { what: 'everything to sleep' })
    await settled()
    return {
      async passes(ms: number) {
        for (let left = ms; left > 0; left -= 10 * SECOND) {
          const step = Math.min(left, 10 * SECOND)
          await world.later(step)
          monotonic += step
          for (const sleeper of sleepers) if (sleeper.until <= monotonic) sleeper.wake()
          await settled()
        }
      },
      stop: () => housekeeping.stop(),
    }
  }

  it('counts at least every minute', async () => {
    const one = await start()
    await one.passes(10 * MINUTE)
    expect(await seenMs()).to.be.within(9 * MINUTE, 11 * MINUTE)
    await one.stop()
  })

  it('counts though it is restarted every five minutes', async () => {
    for (let life = 0; life < 4; life += 1) {
      const one = await start()
      await one.passes(5 * MINUTE)
      await one.stop()
      await world.later(MINUTE)
    }
    expect(await seenMs()).to.be.within(19 * MINUTE, 21 * MINUTE)
  })

  it('counts though it ends before it would have looked again', async () => {
    for (let life = 0; life < 6; life += 1) {
      const one = await start()
      await one.passes(20 * SECOND)
      await one.stop()
    }
    expect(await seenMs()).to.be.within(100 * SECOND, 140 * SECOND)
  })
})
