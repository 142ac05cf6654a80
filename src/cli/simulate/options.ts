/** The options of `limpet simulate`, checked: impossible sizes are refused in one line. */
import { FEWEST_SERVERS } from '../../simulate/story/cast.ts'
import { FEWEST_EVENTS } from '../../simulate/story/plan.ts'
import type { Sizes } from '../../simulate/story/plan.ts'
import { FEWEST_ROOMS } from '../../simulate/story/rooms.ts'
import { UsageError } from '../cli-error.ts'

/** As commander gives them. */
export interface SimulateOptions {
  readonly servers: string
  readonly rooms: string
  readonly events: string
  readonly seed: string
  readonly json?: boolean
  readonly keep?: boolean
  readonly keepRunning?: boolean
}

/** Everything a run needs is held in memory, bodies of transactions too. */
const MOST = { servers: 200, rooms: 5000, events: 50_000 }

/** @throws UsageError */
export function parseSizes(options: SimulateOptions): Sizes {
  return {
    servers: whole('--servers', options.servers, FEWEST_SERVERS, MOST.servers),
    rooms: whole('--rooms', options.rooms, FEWEST_ROOMS, MOST.rooms),
    events: whole('--events', options.events, FEWEST_EVENTS, MOST.events),
    seed: whole('--seed', options.seed, 0, 2 ** 32 - 1),
  }
}

function whole(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN
  if (value >= least && value <= most) return value
  const shown = JSON.stringify(text.slice(0, 40))
  throw new UsageError(`${name} must be a whole number from ${least} to ${most}, not ${shown}`)
}
