/**
 * Follows a Synapse: its own events and its rooms' servers become items, in the order of its stream.
 *
 * Truth is Synapse's database, read at every poll; its Redis only says when to look sooner, so losing it costs
 * promptness alone. Our place is the source token of source `synapse`, moved in the commit that stores the items
 * and only from where we thought it was: several processes may run this, and each window is taken once. The first start
 * begins at the safe head. Reads only; nothing of Synapse's is written.
 */
import type { Clock } from '../../clock.ts'
import { isRoomId } from '../../matrix/ids.ts'
import type { JsonObject } from '../../matrix/json-value.ts'
import type { Log } from '../../observe/log.ts'
import { isUnavailable, type Pool } from '../../store/db.ts'
import type { Append } from '../append.ts'
import type { Item } from '../items.ts'
import { makeBell } from './bell.ts'
import { orderSteps, type Step } from './order.ts'
import { rawEvent } from './raw-event.ts'
import { refusalOf, SynapseRefused } from './refused.ts'
import { readJoined, readPartialRooms } from './room-servers.ts'
import { checkServerName, readSafeHead } from './safe-head.ts'
import { eventsIn, tokenAt } from './token.ts'
import { readWindow, type Window } from './window.ts'

/** Hears every message of a Redis channel until `signal` aborts, through any loss of connection. */
export type Subscribe = (channel: string, onMessage: (message: string) => void, signal: AbortSignal) => void

export interface SynapseSourceNeeds {
  /** Synapse's database. */
  readonly pool: Pool
  readonly serverName: string
  readonly append: Append
  /** The stored token of a source; null where there is none. */
  readonly tokenOf: (source: string) => Promise<string | null>
  /** The door every item goes through (`{type: 'event', …}` as in the ingest API). @throws for an item that is refused */
  readonly parseItem: (raw: JsonObject) => Item
  /** Synapse's Redis; left out, changes are seen at the next poll. */
  readonly subscribe?: Subscribe
  readonly clock: Clock
  readonly log: Log
  /** How often to look, milliseconds. Default 1,000. */
  readonly pollMs?: number
}

export interface SynapseSource {
  /** Runs until `signal` aborts. @throws SynapseRefused where this Synapse must not be read */
  run(signal: AbortSignal): Promise<void>
}

const SOURCE = 'synapse'
const WINDOW_EVENTS = 500
/** A window without items moves the stored token only every so many stream orderings; until then it would be read again. */
const UNSTORED_SPAN = 1_000
/** Rooms remembered as told; when it is full all are told again, which changes nothing. */
const MAX_KNOWN_ROOMS = 100_000
const LONGEST_WAIT_MS = 30_000

export function makeSynapseSource(needs: SynapseSourceNeeds): SynapseSource {
  const { pool, serverName, append, tokenOf, parseItem, clock, log, pollMs = 1_000 } = needs
  /** Rooms whose servers this process has told, so that changes are enough. */
  const known = new Set<string>()
  /** What is stored, and how far we have read; undefined: not known. */
  let place: { stored: string | null; events: number } | undefined
  let aheadOfHead = false

  /** Takes what there is; true: there is more. */
  async function step(): Promise<boolean> {
    const head = await readSafeHead(pool)
    place ??= await findPlace(head)
    if (place === undefined) return false
    sayIfAhead(place.events, head)
    if (place.events >= head) return false
    const window = await readWindow(pool, { after: place.events, head, limit: WINDOW_EVENTS, serverName })
    const { items, told } = await itemsOf(window, place.events)
    const sourceToken = tokenAt(window.upTo)
    if (items.length > 0 || window.upTo - (eventsIn(place.stored) ?? 0) >= UNSTORED_SPAN) {
      if (!(await take(items, sourceToken, place.stored))) return true
      place = { stored: sourceToken, events: window.upTo }
    } else {
      place = { ...place, events: window.upTo }
    }
    if (known.size > MAX_KNOWN_ROOMS) known.clear()
    for (const roomId of told) known.add(roomId)
    return window.upTo < head
  }

  async function findPlace(head: number): Promise<typeof place> {
    const stored = await tokenOf(SOURCE)
    const events = eventsIn(stored)
    if (events !== null) {
      log.info({ events }, 'Synapse: going on where limpet left off')
      return { stored, events }
    }
    const sourceToken = tokenAt(head)
    if (!(await take([], sourceToken, null))) return undefined
    log.info(
      { events: head },
      'Synapse: first start, from the head of its stream: nothing older than this is sent',
    )
    return { stored: sourceToken, events: head }
  }

  /** False: not taken, or it is unknown whether; the place is to be asked for again. */
  async function take(items: Item[], sourceToken: string, ifSourceToken: string | null): Promise<boolean> {
    const result = await append({ source: SOURCE, sourceToken, ifSourceToken, items })
    if (result.kind === 'taken') return true
    place = undefined
    if (result.kind === 'busy') await clock.sleep(result.retryAfterMs)
    else if (result.kind === 'token_mismatch')
      log.debug('Synapse: another process took this part of the stream')
    else throw new Error(`limpet's own database did not take the items: ${result.message}`)
    return false
  }

  async function itemsOf(window: Window, after: number): Promise<{ items: Item[]; told: string[] }> {
    const touched = new Set([...window.events, ...window.changes].map((row) => row.room_id))
    const fresh = new Set([...touched].filter((roomId) => !known.has(roomId)))
    const rooms = [...new Set([...fresh, ...window.changes.map((change) => change.room_id)])]
    const joined = await readJoined(pool, { rooms, at: after, serverName })
    const partial = await readPartialRooms(pool, { rooms: [...fresh], serverName })
    const items = orderSteps({ window, joined, partial, fresh }).flatMap((step) => itemOf(step) ?? [])
    // A room with partial state stays unknown, so that it is told anew until its members are known.
    return { items, told: [...fresh].filter((roomId) => !partial.has(roomId)) }
  }

  function itemOf(step: Step): Item | null {
    if (step.kind === 'event') {
      try {
        const raw = rawEvent(step.row, serverName)
        return raw === null ? null : parseItem(raw)
      } catch (error) {
        // One odd event must not stop the stream.
        log.error(
          { err: error, event_id: step.row.event_id },
          'Synapse: an event that cannot be sent was left out',
        )
        return null
      }
    }
    if (!isRoomId(step.roomId)) return null
    const change = step.kind === 'set' ? { set: step.servers } : { add: step.add, remove: step.remove }
    return { type: 'servers', roomId: step.roomId, change }
  }

  function sayIfAhead(events: number, head: number): void {
    if (events > head && !aheadOfHead) {
      log.error(
        { events, head },
        "Synapse: its stream is behind limpet's place in it; was its database restored?",
      )
    }
    aheadOfHead = events > head
  }

  return {
    async run(signal) {
      const bell = makeBell(clock)
      needs.subscribe?.(
        serverName,
        (message) => {
          if (/^(?:RDATA|POSITION) events /.test(message)) bell.ring()
        },
        signal,
      )
      let failures = 0
      let checked = false
      while (!signal.aborted) {
        try {
          if (!checked) await checkServerName(pool, serverName)
          checked = true
          while ((await step()) && !signal.aborted);
          if (failures > 0) log.info('Synapse: its database is read again')
          failures = 0
        } catch (error) {
          const cause = refusalOf(error)
          if (cause instanceof SynapseRefused) throw cause
          failures += 1
          place = undefined
          const line = 'Synapse: its stream could not be taken, trying again'
          if (failures === 1) log.warn({ err: error, away: isUnavailable(error) }, line)
        }
        if (failures > 0) await clock.sleep(Math.min(pollMs * 2 ** failures, LONGEST_WAIT_MS), signal)
        else await bell.wait(pollMs, signal)
      }
    },
  }
}
