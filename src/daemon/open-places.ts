/** What all destinations of one process share while something is under way to them, each with its share for those that are failing or slow. */
import type { Config } from '../config/config.ts'
import { makeBodies, resizeBodies, type Bodies } from '../deliver/body-memory.ts'
import { makeImpatience, type Impatience } from '../deliver/impatience.ts'
import type { Log } from '../observe/log.ts'
import type { Clock } from '../pace/clock.ts'
import { makePartGate, type PartGate, type PartLimits } from '../pace/part-gate.ts'

export interface SharedPlaces {
  place: PartGate
  dialling: PartGate
  bodies: Bodies
  impatience: Impatience
}

export interface OpenPlaces {
  places: SharedPlaces
  /** From now on as many as this configuration has. */
  resize: (config: Config) => void
}

export function openPlaces(config: Config, { clock, log }: { clock: Clock; log: Log }): OpenPlaces {
  const place = makePartGate(placesOf(config))
  const dialling = makePartGate(dialsOf(config))
  const bodies = makeBodies(config.memory.bodies_bytes)
  const impatience = makeImpatience({ clock, place, dialling, bodies, onCut: sayCut(clock, log) })
  return {
    places: { place, dialling, bodies, impatience },
    resize(now) {
      place.resize(placesOf(now))
      dialling.resize(dialsOf(now))
      resizeBodies(bodies, now.memory.bodies_bytes)
    },
  }
}

/** Those that are quick have so much of the places for themselves, whatever the settings say. */
const QUICK_PART = 1 / 4

/** Requests in flight. */
export function placesOf({ federation }: Config): PartLimits {
  const { max_concurrency: all, recovering_concurrency } = federation
  const most = Math.max(1, Math.floor(all * (1 - QUICK_PART)))
  return { all, recovering: Math.min(recovering_concurrency, most) }
}

/** Connections that are opened at once: for those that are failing or slow, and half of the others. */
export function dialsOf(config: Config): PartLimits {
  const { all, recovering } = placesOf(config)
  return { all: Math.ceil((all + recovering) / 2), recovering }
}

/** Turns that may wait for a place beside those that have one: who waits in the queue is not seen by those that hang. */
const WAITING_TURNS = 64

/** Turns at once, by queue. */
export function turnsOf(config: Config): { delivery: number; recovery: number } {
  const { all, recovering } = placesOf(config)
  return { delivery: all + WAITING_TURNS, recovery: recovering }
}

/** At most one line in this time, ms. */
const SAID_EVERY_MS = 60_000

function sayCut(clock: Clock, log: Log): (count: number) => void {
  let requests = 0
  let saidAt = -Infinity
  return (count) => {
    requests += count
    if (clock.monotonic() - saidAt < SAID_EVERY_MS) return
    log.warn(
      { requests },
      'requests without an answer were ended before their time, since others waited for a place',
    )
    saidAt = clock.monotonic()
    requests = 0
  }
}
