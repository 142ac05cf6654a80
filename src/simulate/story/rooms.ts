/**
 * Which rooms there are, and which servers are in them: one room with every server, a few that the story needs, and
 * the rest smaller and smaller, as on real servers.
 */
import type { Cast } from './cast.ts'
import type { Dice } from './dice.ts'

export interface PlannedRoom {
  /** Servers that are in it from the beginning. */
  readonly members: readonly number[]
  /** How much is said there, against the others; 0: only what the story says. */
  readonly weight: number
  /** Whether some of that is sticky. */
  readonly stickyTalk: boolean
}

/** Rooms with a part, by index; those after them are just rooms. */
export const ROOM = {
  everybody: 0,
  /** Is joined late, and is full of sticky events. */
  gathering: 1,
  quiet: 2,
  /** One server does not know it at first. */
  strange: 3,
  kicking: 4,
  /** The server that is away is expelled from it meanwhile. */
  expelling: 5,
  /** A sticky event lapses here during the outage. */
  brief: 6,
  /** The first of the others: the server that is away is not in it, but is addressed from it. */
  foreign: 7,
} as const

export const FEWEST_ROOMS = 8

export function planRooms(
  { servers, rooms }: { servers: number; rooms: number },
  cast: Cast,
  dice: Dice,
): PlannedRoom[] {
  const all = Array.from({ length: servers }, (_, index) => index)
  // Where something is to be counted exactly, nobody may be behind for reasons of their own.
  const fit = all.filter((index) => ![cast.away, cast.joiner, cast.dead, cast.slow].includes(index))
  const steady = fit.filter((index) => index !== cast.erring)
  const room = (members: readonly number[], weight: number, stickyTalk = true): PlannedRoom => ({
    ...{ members: [...new Set(members)].sort((a, b) => a - b), weight, stickyTalk },
  })
  const few = (from: readonly number[]) => dice.some(from, 2)
  const story = [
    room(all, 1),
    room(dice.some(steady, Math.max(2, Math.round(servers / 4))), 0.05, false),
    room([cast.away, ...few(fit)], 0, false),
    room([cast.unknowing, ...few(fit)], 0.05, false),
    room([cast.kicked, ...few(fit.filter((index) => index !== cast.kicked))], 0.05, false),
    room([cast.away, ...few(fit)], 0, false),
    room([cast.away, ...few(steady)], 0, false),
  ]
  // The slow one could not keep up with more than the room of everybody.
  const talkers = all.filter((index) => index !== cast.slow)
  const others = Array.from({ length: rooms - story.length }, (_, index) => {
    const size = Math.max(2, Math.round((servers * 0.6) / (index + 1)))
    const from = index + story.length === ROOM.foreign ? fit : talkers
    return room(dice.some(from, size), 1 / (index + 2) ** 0.7)
  })
  return [...story, ...others]
}

export const trafficWeights = (rooms: readonly PlannedRoom[]) => rooms.map(({ weight }) => weight)
