/**
 * Do healthy destinations with steady traffic notice that others are looked for, to which the way is not clear? Events for the 100, 200 a
 * second, over open connections: first alone, and then while one event is owed to the 400 others, until the last of those has it or has failed.
 */
import type { Fleet } from './fleet.ts'
import { measureLatency, type Latency } from './latency.ts'
import { daemonFor, ended, healthyOf, ROOMS, SET_BACK, type Stage } from './road-stage.ts'
import { quiet, type Scene } from './traffic.ts'

export interface RoadSteady {
  without: Latency
  beside: Latency
  /** Until the last of the others had it or had failed. */
  seconds: number
}

const WARM_UP_MS = 3_000

export async function steadyRound(stage: Stage): Promise<RoadSteady> {
  const { setting, pool, names, serving, event } = stage
  await setting.emptyQueue()
  await pool.query('delete from discovered')
  await pool.query('delete from open_transactions')
  await pool.query(SET_BACK, [true])
  await serving.ask('clear')
  const daemon = await daemonFor(stage)
  try {
    await quiet(pool)
    const fleet = {
      record: (on: boolean) => serving.ask('record', on),
      arrivals: () => serving.ask<Map<number, number>>('numbered'),
    } as unknown as Fleet
    const scene: Scene = { key: setting.key, daemon, fleet, names: healthyOf(names), pool }
    await measureLatency(scene, (sinceMs) => sinceMs < WARM_UP_MS)
    const without = await measureLatency(scene)
    await serving.ask('clear')
    const began = performance.now()
    let over = false
    await daemon.ingest([event(ROOMS.others).item])
    const whole = ended(stage).finally(() => (over = true))
    const beside = await measureLatency(scene, () => !over)
    await whole
    return { without, beside, seconds: (performance.now() - began) / 1000 }
  } finally {
    await daemon.stop()
  }
}
