/**
 * Follows a Synapse: its own events and its rooms' servers become items, in the order of its stream.
 *
 * Truth is Synapse's database, read at every poll; its Redis only says when to look sooner, so losing it costs
 * promptness alone. Our place is the source token of source `synapse`, moved in the commit that stores the items
 * and only from where we thought it was: several processes may run this, and each window is taken once; with a lease one of them
 * reads. The first start begins at the safe head. A window that cannot be read in time is halved, and a room that cannot be waits by
 * itself (`left-behind.ts`). Reads only; nothing of Synapse's is written.
 */
import type { Clock } from '../../clock.ts'
import { isRoomId } from '../../matrix/ids.ts'
import type { Append } from '../append.ts'
import type { Pool } from '../../store/db.ts'
import type { Item } from '../items.ts'
import { announcedBy, makeBell } from './bell.ts'
import { makeLeftBehind, type LeftBehindNeeds } from './left-behind.ts'
import type { Progress } from './progress.ts'
import { makePurges, type PurgeNeeds } from './purges.ts'
import type { ReaderLease } from './reader-lease.ts'
import { makeRedactionItems, REDACTIONS_A_COMMIT, type RedactionItemsNeeds } from './redaction-items.ts'
import type { Redaction, UnreadableRedaction } from './redactions.ts'
import { refusalOf, SynapseRefused } from './refused.ts'
import { readRoomByRoom, withoutRooms } from './room-by-room.ts'
import { checkServerName, checkStateGroups, readNewest, readSafeHead } from './safe-head.ts'
import { makeStoreItems } from './store-items.ts'
import { eventsIn, tokenAt } from './token.ts'
import { isTooSlow } from './too-slow.ts'
import { readWindow, type Window } from './window.ts'
import { makeWindowItems, type WindowItemsNeeds } from './window-items.ts'

/** Hears every message of a Redis channel until `signal` aborts, through any loss of connection. */
export type Subscribe = (channel: string, onMessage: (message: string) => void, signal: AbortSignal) => void

export interface SynapseSourceNeeds extends Omit<WindowItemsNeeds, 'purges' | 'redactions'> {
  readonly append: Append
  /** The stored token of a source; null where there is none. */
  readonly tokenOf: (source: string) => Promise<string | null>
  /** Synapse's Redis; left out, changes are seen at the next poll. */
  readonly subscribe?: Subscribe | undefined
  /** Of many redactions, only those of events that limpet holds are passed on. */
  readonly held?: RedactionItemsNeeds['held']
  /** What limpet holds of one sender, a page at a time: a ban redacts all that is left of it. */
  readonly heldBy?: RedactionItemsNeeds['heldBy']
  /** Rooms that cannot be read in time are left behind, and then read with the longer statements of `pool`; left out, they hold up the stream. */
  readonly behind?: (Pick<LeftBehindNeeds, 'tokens'> & { readonly pool: Pool }) | undefined
  /** Left out, this process always reads. */
  readonly lease?: Pick<ReaderLease, 'held' | 'wait' | 'giveWay'> | undefined
  /** Told how it goes. */
  readonly progress?: Pick<Progress, 'saw' | 'failed'> | undefined
  readonly clock: Clock
  readonly purges: Pick<PurgeNeeds, 'told' | 'everyMs' | 'graceMs'>
  /**
   * Asked before its database is read first, again and again until it answers, as one that is away at the start does later.
   * Throws SynapseRefused where it must not be read; whatever else it throws is tried again.
   */
  readonly mayRead?: (() => Promise<void>) | undefined
  /** How often to look, milliseconds. Default 1,000. */
  readonly pollMs?: number
}

export interface SynapseSource {
  /** Runs until `signal` aborts. @throws SynapseRefused where this Synapse must not be read */
  run(signal: AbortSignal): Promise<void>
}

interface Place {
  /** The token as it is stored. */
  readonly stored: string | null
  /** How far the event stream was read; may be ahead of what is stored where nothing was to be taken. */
  readonly events: number
}

/** Its name among sources. */
export const SOURCE = 'synapse'
const WINDOW_EVENTS = 500
/** Windows without items move the stored token only every so many stream orderings; until then they would be read again. */
const UNSTORED_SPAN = 1_000
const LONGEST_WAIT_MS = 30_000
/** After so many failures one after another, perhaps another process can read it. */
const FAILURES_ENOUGH = 3

export function makeSynapseSource(needs: SynapseSourceNeeds): SynapseSource {
  const { pool, serverName, append, tokenOf, clock, log, pollMs = 1_000 } = needs
  const purges = makePurges({ ...needs.purges, pool, clock })
  const { parseItem, held, heldBy, skipped } = needs
  const redactions = makeRedactionItems({ pool, parseItem, held, heldBy, log })
  const windowItems = makeWindowItems({ pool, serverName, parseItem, log, purges, redactions, skipped })
  const store = makeStoreItems({ append, log })
  const leftBehind = makeBehind()
  const bell = makeBell(clock)
  const mayRead = () => needs.lease?.held() ?? true
  let limit = WINDOW_EVENTS
  let place: Place | null = null
  let lastTaken = 0
  let wasAhead = false
  let newestUnnoted: number | null = null

  /** Takes a window; true: there is more to do at once. */
  async function step(signal: AbortSignal): Promise<boolean> {
    const looked = bell.look()
    const head = (await readSafeHead(pool)) ?? (await headWithoutWriters())
    if (head === null) return false
    looked(head)
    if (place === null) {
      place = await findPlace(head, signal)
      await leftBehind?.load()
    }
    if (place === null) return true
    needs.progress?.saw(head, place.events)
    sayIfAhead(place.events, head)
    // Of a database that was restored to an older state it says nothing that a room is not there.
    if (place.events > head) return false
    if (leftBehind?.anyReadable()) {
      // Whoever goes on after us must not find the room's place ahead of the stream's.
      if (eventsIn(place.stored) !== place.events) place = await take([], place.events, place.stored, signal)
      if (place === null) return true
      await leftBehind.rejoin(place.events, signal)
    }
    if (place.events === head) return passPurges(place, signal)
    const next = withoutRooms(await readNext(place.events, head), leftBehind?.rooms() ?? new Set())
    const { ahead, window } = await redactions.split(next)
    let passed = false
    for await (const piece of ahead) {
      passed = true
      place = await takeAhead(piece, place, signal)
      if (place === null) return true
      if (signal.aborted) return false
    }
    const { items, taken, slow } = await readItems(window, place.events)
    for (const roomId of slow) await leftBehind?.leave(roomId, place.events)
    const unstored = window.upTo - (eventsIn(place.stored) ?? 0)
    if (items.length > 0 || passed || unstored >= UNSTORED_SPAN) {
      place = await take(items, window.upTo, place.stored, signal, true)
      if (place === null) return true
    } else {
      place = { ...place, events: window.upTo }
    }
    taken()
    limit = Math.min(Math.ceil(limit * 1.125), WINDOW_EVENTS)
    needs.progress?.saw(head, place.events)
    return window.upTo < head
  }

  async function readItems(window: Window, after: number) {
    if (leftBehind !== null) return readRoomByRoom(windowItems, window, after)
    return { ...(await windowItems.read(window, after)), slow: [] }
  }

  function makeBehind() {
    if (needs.behind === undefined) return null
    const { pool: patient, tokens } = needs.behind
    const parts = {
      parseItem,
      log,
      serverName,
      pool: patient,
      purges: makePurges({ ...needs.purges, pool: patient, clock }),
    }
    return makeLeftBehind({
      ...{ store, tokens, clock, log },
      makeItems: () =>
        makeWindowItems({ ...parts, skipped, redactions: makeRedactionItems({ ...parts, held, heldBy }) }),
      read: (span) => readWindow(patient, { ...span, limit: REDACTIONS_A_COMMIT, serverName, leaveOut }),
      joins: async (roomId, view, at) => {
        if (view === undefined) windowItems.forget(roomId)
        else await windowItems.adopt(roomId, view, at)
      },
      failed: (error) => needs.progress?.failed(error),
    })
  }

  /** The next window; a short one where its own events are redacted already, so that not too much is in one commit. */
  async function readNext(after: number, head: number): Promise<Window> {
    const span = { after, head, limit, serverName, leaveOut }
    const window = await readWindow(pool, span)
    const own = new Set(window.events.map((row) => row.event_id))
    const redacted = window.redactions.filter((one) => own.has(one.event_id))
    return redacted.length <= REDACTIONS_A_COMMIT
      ? window
      : readWindow(pool, { ...span, limit: Math.min(limit, REDACTIONS_A_COMMIT) })
  }

  function leaveOut({ error, ...redaction }: UnreadableRedaction): void {
    log.error({ err: error, ...redaction }, 'Synapse: a redaction that cannot be read was left out')
  }

  /** Passes on a piece of a window's redactions; our place stays where it is. */
  async function takeAhead(piece: Redaction[], here: Place, signal: AbortSignal): Promise<Place | null> {
    const items = [...(await redactions.itemsOf(piece)).values()]
    if (items.length === 0) return here
    const taken = await take(items, eventsIn(here.stored) ?? 0, here.stored, signal)
    return taken === null ? null : { ...taken, events: here.events }
  }

  /**
   * Where a new writer has written nothing yet, what there is was finished by those before it. Its first event is noted
   * a moment after it is there, so this is believed when nothing came between two looks.
   */
  async function headWithoutWriters(): Promise<number | null> {
    const newest = await readNewest(pool)
    const isStill = newest === newestUnnoted
    newestUnnoted = newest
    return isStill ? newest : null
  }

  /** Passes on that rooms are gone; true: our place is to be looked at again. */
  async function passPurges(here: Place, signal: AbortSignal): Promise<boolean> {
    const gone = (await purges.due()).filter(isRoomId)
    if (gone.length === 0) return false
    const items = gone.map((roomId): Item => ({ type: 'purge', roomId }))
    const stored = await take(items, eventsIn(here.stored) ?? 0, here.stored, signal)
    place = stored === null ? null : { ...stored, events: here.events }
    if (stored === null) return true
    for (const roomId of gone) windowItems.forget(roomId)
    log.info({ rooms: gone.length }, 'Synapse: rooms were purged')
    return false
  }

  async function findPlace(head: number, signal: AbortSignal): Promise<Place | null> {
    const stored = await tokenOf(SOURCE)
    const events = eventsIn(stored)
    if (events !== null) {
      // Our own database went back: what it was told since is to be told again.
      if (events < lastTaken) windowItems.forget()
      log.debug({ events }, 'Synapse: going on from the stored place')
      return { stored, events }
    }
    const first = await take([], head, null, signal)
    if (first === null) return null
    log.info(
      { events: head },
      'Synapse: first start, at the head of its stream: what it held before is not sent',
    )
    return first
  }

  /** Stores items and the new place; null: not taken, or it is unknown whether, and the place is to be asked for. */
  async function take(
    items: Item[],
    events: number,
    from: string | null,
    signal: AbortSignal,
    onlyKnownRooms = false,
  ): Promise<Place | null> {
    const sourceToken = tokenAt(events)
    const batch = { source: SOURCE, sourceToken, ifSourceToken: from, items, onlyKnownRooms }
    const result = await store({ ...batch, forget: (roomId) => windowItems.forget(roomId) })
    switch (result.kind) {
      case 'taken':
        lastTaken = events
        return { stored: sourceToken, events }
      case 'token_mismatch':
        log.debug('Synapse: another process took this part of the stream')
        return null
      case 'unknown_rooms':
        // Somebody purged rooms that were told: these are read and told again, and the window is taken then.
        log.info({ rooms: result.rooms.length }, 'Synapse: rooms are told again that limpet knows no more')
        return null
      case 'busy':
        await clock.sleep(result.retryAfterMs, signal)
        return null
    }
  }

  function sayIfAhead(events: number, head: number): void {
    const ahead = events > head
    if (ahead && !wasAhead) {
      log.error(
        { events, head },
        "Synapse: its stream ends before limpet's place in it; was its database restored?",
      )
    }
    wasAhead = ahead
  }

  /** Takes all there is now. */
  async function catchUp(signal: AbortSignal): Promise<void> {
    let more = true
    while (more && !signal.aborted && mayRead()) more = await step(signal)
  }

  /** Waits until this process is the one that reads. */
  async function standBy(signal: AbortSignal): Promise<void> {
    // Somebody else moves our place meanwhile.
    place = null
    await needs.lease?.wait(signal)
  }

  async function run(signal: AbortSignal): Promise<void> {
    const onMessage = (message: string) => {
      const announced = announcedBy(message)
      if (announced !== undefined) bell.ring(announced)
    }
    needs.subscribe?.(serverName, onMessage, signal)
    const placeToRead = () => (mayRead() ? (place?.events ?? null) : null)
    const ofThoseBehind = leftBehind?.run(placeToRead, signal)
    try {
      await follow(signal)
    } finally {
      if (signal.aborted) await ofThoseBehind
    }
  }

  async function follow(signal: AbortSignal): Promise<void> {
    let checked = false
    let failures = 0
    let halved = false
    while (!signal.aborted) {
      try {
        if (!checked) {
          await needs.mayRead?.()
          await checkServerName(pool, serverName)
          await checkStateGroups(pool)
        }
        checked = true
        if (!mayRead()) await standBy(signal)
        await catchUp(signal)
        if (failures > 0) log.info('Synapse: its stream is taken again')
        failures = 0
      } catch (error) {
        const cause = refusalOf(error)
        needs.progress?.failed(cause)
        if (cause instanceof SynapseRefused) throw cause
        halved = isTooSlow(error) && limit > 1
        if (halved) limit = Math.floor(limit / 2)
        failures += 1
        if (failures === FAILURES_ENOUGH) await needs.lease?.giveWay()
        if (failures === 1) log.warn({ err: error }, 'Synapse: its stream could not be taken; trying again')
      }
      if (failures === 0) await bell.wait(pollMs, signal)
      else if (halved) await clock.sleep(pollMs, signal)
      else await clock.sleep(Math.min(pollMs * 2 ** failures, LONGEST_WAIT_MS), signal)
    }
  }

  return { run }
}
