/**
 * Rooms that cannot be read in time. They wait while the stream goes on without them.
 *
 * Nothing of them is skipped. A room that is left behind becomes a source of its own, `synapse/!room:…`. Its stored
 * token says how far the room was taken. The token is written before the stream moves past that place, and moved in
 * the commit that stores the room's items, only from where we thought it was. The room is tried again with longer
 * statements and longer waits, in the order of its own events, and joins the others when it has caught up with them.
 * Another process that begins to read finds the tokens.
 */
import type { Clock } from '../../pace/clock.ts'
import { makeNudge } from '../../pace/nudge.ts'
import type { Log } from '../../observe/log.ts'
import { AnotherServer } from './refused.ts'
import { onlyOf } from './room-by-room.ts'
import type { RoomView } from './room-view.ts'
import type { StoreItems } from './store-items.ts'
import { isTooSlow } from './too-slow.ts'
import type { Window } from './window.ts'
import type { WindowItems } from './window-items.ts'

export interface LeftBehindNeeds {
  readonly store: StoreItems
  /** The stored tokens of the sources whose names begin with `prefix`. */
  readonly tokens: (prefix: string) => Promise<readonly StoredToken[]>
  /** Removes those sources whose names begin with `prefix` and whose token is still `token`. */
  readonly drop: (prefix: string, token: string) => Promise<void>
  /** Of a room that is read by itself: nothing of the others is remembered with it. */
  readonly makeItems: () => WindowItems
  readonly read: (span: { after: number; head: number }) => Promise<Window>
  /** Told of a room that is as far as the others, `at` there. */
  readonly joins: (roomId: string, view: RoomView | undefined, at: number) => Promise<void>
  /** Told why a room still waits. */
  readonly failed?: ((error: unknown) => void) | undefined
  readonly clock: Clock
  readonly log: Log
}

export interface StoredToken {
  readonly source: string
  readonly token: string | null
}

export interface LeftBehind {
  /** Those that are not taken with the stream. */
  rooms(): ReadonlySet<string>
  /** Reads from limpet's database which there are. */
  load(): Promise<void>
  /** From now on the room waits; what it had up to `after` was taken. */
  leave(roomId: string, after: number): Promise<void>
  /** Whether one can be read again, and `rejoin` would do something. */
  anyReadable(): boolean
  /** Takes rooms that can be read again to `place`, where the others are, and with them from there. */
  rejoin(place: number, signal: AbortSignal): Promise<void>
  /** Forgets what was read of them, not where they are. */
  forget(): void
  /** Synapse's stream goes on from `at`, as another one: none of them is further. */
  goBackTo(at: number): Promise<void>
  /** Tries them again until `signal` aborts; `place`: where the others are, null: unknown, or not ours to read. */
  run(place: () => number | null, signal: AbortSignal): Promise<void>
}

interface Room {
  readonly roomId: string
  after: number
  items: WindowItems
  /** Its state was read: what is left takes a moment. */
  readable: boolean
  failures: number
  dueAt: number
}

/** Of the names of sources; what follows is the room's id. */
export const BEHIND = 'synapse/'
const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 300_000
/** If more rooms are slow, the cause is not the rooms. */
const MOST_BEHIND = 100

/** As far as the others: such a row is removed. One that is not there means the same, to every release. */
const DONE = 'done'
const tokenAt = (after: number): string => `after=${after}`
/** Null: it is as far as the others. */
function afterIn(token: string | null): number | null {
  const digits = /^after=(\d{1,15})$/.exec(token ?? '')?.[1]
  return digits === undefined ? null : Number(digits)
}

export function makeLeftBehind(needs: LeftBehindNeeds): LeftBehind {
  const { store, tokens, drop, makeItems, read, joins, failed, clock, log } = needs
  let behind = new Map<string, Room>()
  const news = makeNudge(clock)

  const add = (roomId: string, after: number): Room => ({
    ...{ roomId, after, items: makeItems(), readable: false, failures: 0 },
    dueAt: clock.monotonic(),
  })

  async function load(): Promise<void> {
    const found = new Map<string, Room>()
    const stored = await tokens(BEHIND)
    if (stored.some(({ token }) => token === DONE)) await dropDone()
    for (const { source, token } of stored) {
      const after = afterIn(token)
      if (after === null) continue
      const roomId = source.slice(BEHIND.length)
      const known = behind.get(roomId)
      found.set(roomId, known?.after === after ? known : add(roomId, after))
    }
    behind = found
    news.nudge()
  }

  /** If it fails, the next load does it. */
  async function dropDone(): Promise<void> {
    await drop(BEHIND, DONE).catch((error: unknown) =>
      log.debug({ err: error }, 'Synapse: could not remove the place of a room that no longer waits'),
    )
  }

  async function leave(roomId: string, after: number): Promise<void> {
    if (behind.size >= MOST_BEHIND) throw new Error(`${behind.size} rooms already wait: the limit is reached`)
    const source = BEHIND + roomId
    for (let from: string | null = null; ;) {
      const result = await store({ source, sourceToken: tokenAt(after), ifSourceToken: from, items: [] })
      if (result.kind === 'taken') break
      if (result.kind !== 'token_mismatch') throw new Error('limpet takes no items at the moment')
      // It waits already, by the word of another process; or it waited once.
      if (afterIn(result.sourceToken) !== null) return load()
      from = result.sourceToken
    }
    behind.set(roomId, add(roomId, after))
    log.error(
      { room_id: roomId, after },
      'Synapse: a room cannot be read in time; its events wait while the other rooms go on',
    )
    news.nudge()
  }

  /** @throws where it cannot be read, or its token is not what we thought */
  async function bringTo(room: Room, place: number, signal: AbortSignal): Promise<void> {
    while (room.after < place && !signal.aborted) {
      const window = onlyOf(await read({ after: room.after, head: place }), room.roomId)
      const { items, taken } = await room.items.read(window, room.after)
      await move(room, tokenAt(window.upTo), items)
      taken()
      room.after = window.upTo
    }
  }

  async function move(room: Room, token: string, items: Parameters<StoreItems>[0]['items']): Promise<void> {
    const [source, ifSourceToken] = [BEHIND + room.roomId, tokenAt(room.after)]
    const result = await store({
      ...{ source, sourceToken: token, ifSourceToken, items, onlyKnownRooms: true },
      forget: (roomId) => room.items.forget(roomId),
    })
    if (result.kind === 'taken') return
    if (result.kind === 'token_mismatch') await load()
    throw new Error(`the events of a room that was left behind were not taken: ${result.kind}`)
  }

  async function rejoin(place: number, signal: AbortSignal): Promise<void> {
    for (const room of [...behind.values()].filter(({ readable }) => readable)) {
      try {
        await bringTo(room, place, signal)
      } catch (error) {
        if (!isTooSlow(error) && !(error instanceof AnotherServer)) throw error
        putOff(room, error)
        continue
      }
      // It may have been left further on than a place that was not stored.
      if (room.after !== place) continue
      await move(room, DONE, [])
      behind.delete(room.roomId)
      await dropDone()
      await joins(room.roomId, room.items.give(room.roomId), place)
      log.info({ room_id: room.roomId }, 'Synapse: a room that was left behind has caught up with the others')
    }
  }

  async function goBackTo(at: number): Promise<void> {
    for (const room of behind.values()) {
      if (room.after > at) await move(room, tokenAt(at), [])
      behind.set(room.roomId, add(room.roomId, Math.min(room.after, at)))
    }
    news.nudge()
  }

  function putOff(room: Room, error: unknown): void {
    room.readable = false
    room.failures += 1
    room.dueAt = clock.monotonic() + Math.min(FIRST_WAIT_MS * 2 ** (room.failures - 1), LONGEST_WAIT_MS)
    const what = error instanceof Error ? error.message : String(error)
    failed?.(new Error(`the room ${room.roomId} waits: ${what}`))
    log.debug({ err: error, room_id: room.roomId }, 'Synapse: a room that was left behind still waits')
  }

  async function run(place: () => number | null, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const here = place()
      const room = [...behind.values()].find((one) => !one.readable && one.dueAt <= clock.monotonic())
      if (here !== null && room !== undefined) {
        try {
          await bringTo(room, here, signal)
          room.readable = true
          room.failures = 0
        } catch (error) {
          putOff(room, error)
        }
        continue
      }
      await news.wait(behind.size === 0 ? LONGEST_WAIT_MS : FIRST_WAIT_MS, signal)
    }
  }

  return {
    rooms: () => new Set(behind.keys()),
    load,
    leave,
    anyReadable: () => [...behind.values()].some(({ readable }) => readable),
    rejoin,
    forget() {
      for (const room of behind.values()) room.items.forget()
    },
    goBackTo,
    run,
  }
}
