/**
 * Traffic for warm destinations: rooms that hold each of them five times, a first event for everybody, and then as
 * many requests as keep five or six transactions waiting for each: the daemon never waits for us.
 */
import { systemClock } from '../../src/pace/clock.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import type { Daemon } from './daemon.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import { ASIDE } from './statements.ts'
import { PDUS_A_TRANSACTION } from './window.ts'

export interface Scene {
  key: SigningKey
  daemon: Daemon
  fleet: Fleet
  /** Who gets it; their number is a multiple of 50. */
  names: readonly string[]
  pool: Pool
}

const SERVERS_A_ROOM = 50
/** Rooms that a destination is in, beside the one of its own. */
const ROUNDS = 5
/** PDUs that wait for each destination while it is saturated. */
const DEEP = 6 * PDUS_A_TRANSACTION
const ITEMS_A_REQUEST = 1_000

const roomsFor = (names: readonly string[]) => (names.length * ROUNDS) / SERVERS_A_ROOM
const sharedRoom = (room: number) => `!shared${room}:home.example`
/** The room that only the destination with this index is in. */
export const soloRoom = (destination: number) => `!solo${destination}:home.example`

export async function openRooms({ daemon, names }: Scene): Promise<void> {
  const item = (room_id: string, set: string[]) => JSON.stringify({ type: 'servers', room_id, set })
  const step = SERVERS_A_ROOM / ROUNDS
  const serversOf = (room: number) =>
    Array.from({ length: SERVERS_A_ROOM }, (_, i) => names[(room * step + i) % names.length] ?? '')
  const shared = Array.from({ length: roomsFor(names) }, (_, room) => item(sharedRoom(room), serversOf(room)))
  const solo = names.map((name, index) => item(soloRoom(index), [name]))
  await inRequests(daemon, [...shared, ...solo])
}

/** One event for each: after its answer a destination is connected, and known to answer well. */
export async function meetAll({ key, daemon, fleet, names, pool }: Scene): Promise<void> {
  const event = makeEvents(key)
  const { pdus: start } = await fleet.counts()
  const items = names.map((_, index) => event(soloRoom(index)).item)
  await inRequests(daemon, items)
  await until(async () => (await fleet.counts()).pdus - start === names.length, {
    what: 'every destination to have its first event',
    withinMs: 300_000,
    everyMs: 100,
  })
  await quiet(pool)
}

/**
 * Keeps every destination's backlog at five or six transactions, by requests that hold one transaction for each. `beside`: items that go behind
 * each event, for its room.
 */
export function saturate(
  { key, daemon, fleet, names }: Scene,
  beside: (room: string) => string[] = () => [],
): { stop(): Promise<void> } {
  const event = makeEvents(key)
  let stopped = false
  let turn = 0
  const next = () => {
    // Every fifth room: together they hold every destination once.
    const rooms = Array.from({ length: roomsFor(names) }, (_, room) => room).filter(
      (room) => room % ROUNDS === turn % ROUNDS,
    )
    turn += 1
    return rooms.flatMap((number) => {
      const room = sharedRoom(number)
      return Array.from({ length: PDUS_A_TRANSACTION }, () => [event(room).item, ...beside(room)]).flat()
    })
  }
  const work = async () => {
    const { pdus: start } = await fleet.counts()
    for (let sent = 0; !stopped;) {
      const { pdus } = await fleet.counts()
      if (sent - (pdus - start) <= (DEEP - PDUS_A_TRANSACTION) * names.length) {
        await inRequests(daemon, next())
        sent += PDUS_A_TRANSACTION * names.length
      } else await systemClock.sleep(10)
    }
  }
  const working = work()
  working.catch(() => undefined)
  return {
    stop: async () => {
      stopped = true
      await working
    },
  }
}

/** Resolves when nobody has been served for half a second. */
export async function quiet(pool: Pool): Promise<void> {
  const busy = `select ${ASIDE} from destinations where lease_owner is not null limit 1`
  let seen = 0
  await until(async () => (seen = (await pool.query(busy)).rowCount === 0 ? seen + 1 : 0) === 5, {
    what: 'every turn to end',
    withinMs: 120_000,
    everyMs: 100,
  })
}

async function inRequests(daemon: Daemon, items: readonly string[]): Promise<void> {
  for (let at = 0; at < items.length; at += ITEMS_A_REQUEST)
    await daemon.ingest(items.slice(at, at + ITEMS_A_REQUEST))
}
