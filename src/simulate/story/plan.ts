/**
 * What will happen: the whole story as a value, made from its sizes and a seed before anything runs.
 *
 * There are three acts. In the first every server gets traffic. In the second one server is away, for longer than the
 * catch-up threshold, and misses what catch-up is about. In the third it is back, and another server has joined a room
 * full of sticky events. Servers and rooms are indices here; the fleet gives them names.
 */
import { castOf } from './cast.ts'
import type { Cast } from './cast.ts'
import { makeDice } from './dice.ts'
import { planRooms, ROOM, trafficWeights } from './rooms.ts'
import type { Dice } from './dice.ts'
import type { PlannedRoom } from './rooms.ts'

export interface Sizes {
  readonly servers: number
  readonly rooms: number
  readonly events: number
  readonly seed: number
}

export interface PlannedEvent {
  readonly kind: 'event'
  readonly room: number
  readonly stickyMs: number | null
  /** Exactly these servers; null: the room's. */
  readonly to: readonly number[] | null
  /** What it says. */
  readonly body: string
}

export interface PlannedLeave {
  readonly kind: 'leave'
  readonly room: number
  readonly server: number
}

export type PlannedItem = PlannedEvent | PlannedLeave
/** Items of one request. */
export type Batch = readonly PlannedItem[]

export interface StoryPlan {
  readonly sizes: Sizes
  readonly cast: Cast
  readonly rooms: readonly PlannedRoom[]
  readonly opening: readonly Batch[]
  readonly outage: readonly Batch[]
  readonly ending: readonly Batch[]
  /** `catch_up.threshold_pdus` for the daemon: the outage is longer than this. */
  readonly thresholdPdus: number
  /** What the seed implies. */
  readonly implied: { readonly replayed: number; readonly lapsed: number }
}

/** Sticky events in the room that is joined late: two full transactions and a rest. */
export const GATHERED = 113
/** Sticky for this long: not until an outage is over, ms. */
export const BRIEF_MS = 2000
export const FEWEST_EVENTS = 200
const LONG_MS = 30 * 60_000
/** `catch_up.threshold_pdus`, where the outage is long enough. */
const THRESHOLD = 100
/** Requests that the traffic comes in, and items of one. */
const BATCHES = 50
const FEWEST_BATCH = 10
const MOST_BATCH = 400
const SHARES = { opening: 0.3, outage: 0.45 }
const STICKY_SHARE = 0.04

export function planStory(sizes: Sizes): StoryPlan {
  const dice = makeDice(sizes.seed)
  const cast = castOf(sizes.servers)
  const rooms = planRooms(sizes, cast, dice)
  const { first, missed, lapsing, gathered } = scriptOf(cast)
  const written = [...first, ...missed, ...lapsing, ...gathered].filter(({ kind }) => kind === 'event').length
  const left = sizes.events - written
  const shares = { opening: Math.round(left * SHARES.opening), outage: Math.round(left * SHARES.outage) }
  const talk = makeTalk(rooms, dice)
  const half = Math.ceil(GATHERED / 2)
  const opening = spread(dice, talk(shares.opening), [...lapsing, ...gathered.slice(0, half)])
  const outage = spread(dice, talk(shares.outage), gathered.slice(half))
  const ending = talk(left - shares.opening - shares.outage)
  const size = Math.min(MOST_BATCH, Math.max(FEWEST_BATCH, Math.ceil(sizes.events / BATCHES)))

  const away = [...missed, ...outage].filter((item) => reaches(item, rooms, cast.away))
  const sticky = away.filter(({ stickyMs }) => stickyMs === LONG_MS)
  return {
    sizes,
    cast,
    rooms,
    opening: batches([...first, ...opening], size),
    outage: batches([...missed, ...outage], size),
    ending: batches(ending, size),
    thresholdPdus: Math.min(THRESHOLD, Math.floor(away.length / 2)),
    // The join, the gap, and the one event that is not listed at first; one sticky event of the gap lapses.
    implied: { replayed: GATHERED + sticky.length + 1, lapsed: 1 },
  }
}

/** What has to be said for the story's sake; all else is talk. */
function scriptOf(cast: Cast) {
  const say = (room: number, body: string, stickyMs: number | null = null): PlannedEvent => {
    return { kind: 'event', room, stickyMs, to: null, body }
  }
  const times = (count: number, event: PlannedEvent) => Array.from({ length: count }, () => event)
  const first: PlannedItem[] = [
    say(ROOM.strange, 'sticky, in a room that one server does not know yet', LONG_MS),
    say(ROOM.quiet, 'the quietest room has a first word'),
    say(ROOM.brief, 'hello'),
    say(ROOM.expelling, 'hello'),
  ]
  const missed: PlannedItem[] = [
    say(ROOM.quiet, 'sticky, in the quietest room, older than all that follows', LONG_MS),
    say(ROOM.brief, 'sticky for a moment', BRIEF_MS),
    say(ROOM.expelling, 'this ends the membership of the server that is away'),
    { kind: 'leave', room: ROOM.expelling, server: cast.away },
    say(ROOM.expelling, 'not for the server that was expelled'),
    { ...say(ROOM.foreign, 'addressed to a server outside the room'), to: [cast.away] },
    say(ROOM.quiet, 'the quietest room has a last word'),
    say(ROOM.brief, 'and on it goes'),
    say(ROOM.kicking, 'this ends the membership of the server that is kicked'),
    { kind: 'leave', room: ROOM.kicking, server: cast.kicked },
    say(ROOM.kicking, 'not for the server that was kicked', LONG_MS),
  ]
  return {
    first,
    missed,
    lapsing: times(2, say(ROOM.gathering, 'sticky, but not until the join', BRIEF_MS)),
    gathered: times(GATHERED, say(ROOM.gathering, 'sticky, for the server that joins', LONG_MS)),
  }
}

/** Events that are for the server: who is away is in its rooms all the time, but for the one it is expelled from. */
function reaches(item: PlannedItem, rooms: readonly PlannedRoom[], server: number): item is PlannedEvent {
  if (item.kind !== 'event') return false
  return item.to?.includes(server) ?? rooms[item.room]?.members.includes(server) === true
}

/** Ordinary traffic: the larger a room, the more is said there. Some of it is sticky. */
function makeTalk(rooms: readonly PlannedRoom[], dice: Dice): (count: number) => PlannedEvent[] {
  const weights = trafficWeights(rooms)
  let said = 0
  return (count) =>
    Array.from({ length: count }, () => {
      const room = dice.weighted(weights)
      const sticky = rooms[room]?.stickyTalk === true && dice.next() < STICKY_SHARE
      said += 1
      return { kind: 'event', room, stickyMs: sticky ? LONG_MS : null, to: null, body: `message ${said}` }
    })
}

/** `few` spread among `many`, both in their order. */
function spread<T>(dice: Dice, many: readonly T[], few: readonly T[]): T[] {
  const all = [...many]
  const places = few.map(() => dice.below(many.length + 1)).sort((a, b) => b - a)
  for (const [index, place] of places.entries()) {
    const item = few[few.length - 1 - index]
    if (item !== undefined) all.splice(place, 0, item)
  }
  return all
}

function batches<T>(items: readonly T[], size: number): T[][] {
  const all: T[][] = []
  for (let at = 0; at < items.length; at += size) all.push(items.slice(at, at + size))
  return all
}
