/**
 * Follows a Synapse: its own events and its rooms' servers become items, in the order of its stream.
 *
 * Truth is Synapse's database, read at every poll; its Redis only says when to look sooner, so losing it costs
 * promptness alone. Our place is the source token of source `synapse`, moved in the commit that stores the items
 * and only from where we thought it was: several processes may run this, and each window is taken once; with a lease one of them
 * reads. The first start begins at the safe head. A window that cannot be read in time is halved, and a room that cannot be waits by
 * itself (`left-behind.ts`). Reads only; nothing of Synapse's is written.
 */
import { isRoomId } from '../../matrix/ids.ts'
import type { Item } from '../items.ts'
import { makeAfterRestore, type Place } from './after-restore.ts'
import { announcedBy, makeBell } from './bell.ts'
import { keepFollowing } from './keep-following.ts'
import { makeLeftBehind } from './left-behind.ts'
import { makePurges } from './purges.ts'
import { makeRedactionItems, REDACTIONS_A_COMMIT } from './redaction-items.ts'
import type { Redaction, UnreadableRedaction } from './redactions.ts'
import { makeRestoredWatch } from './restored.ts'
import { readRoomByRoom, withoutRooms } from './room-by-room.ts'
import { checkServerName, checkStateGroups } from './safe-head.ts'
import type { SynapseSourceNeeds } from './source-needs.ts'
import { makeStoreItems } from './store-items.ts'
import { makeStreamEnd } from './stream-end.ts'
import { timelineInMemory } from './timeline.ts'
import { eventsIn, tokenAt } from './token.ts'
import { readWindow, type Window } from './window.ts'
import { makeWindowItems } from './window-items.ts'

export type { Subscribe, SynapseSourceNeeds } from './source-needs.ts'

export interface SynapseSource {
  /** Runs until `signal` aborts. @throws SynapseRefused where this Synapse must not be read */
  run(signal: AbortSignal): Promise<void>
}

/** Its name among sources. */
export const SOURCE = 'synapse'
const WINDOW_EVENTS = 500
/** Windows without items move the stored token only every so many stream orderings; until then they would be read again. */
const UNSTORED_SPAN = 1_000

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
  const end = makeStreamEnd({ db: pool, clock })
  const monotonic = () => clock.monotonic()
  const watch = makeRestoredWatch({ store: needs.timeline ?? timelineInMemory(), monotonic, log })
  const restored = makeAfterRestore({
    ...{ pool, serverName, watch, take, log, told: needs.purges.told, progress: needs.progress },
    forget: () => windowItems.forget(),
    goBackTo: async (at) => leftBehind?.goBackTo(at),
  })
  let lastTaken = 0
  let wasAhead = false
  let saidUnnoted = false
  /** For an operator's word: the database was restored. */
  let waits = true
  let lookedThrough = 0

  /** Takes a window; true: there is more to do at once. */
  async function step(signal: AbortSignal): Promise<boolean> {
    place ??= await findPlace()
    const looked = bell.look()
    const look = await end.look(place?.events ?? null, watch.asked())
    looked(look.newest)
    lookedThrough = needs.connections?.() ?? 0
    if (place === null) return begin(look.safe, signal)
    const verdict = await watch.judge(look, place.events)
    needs.progress?.saw(look.newest, place.events)
    waits = verdict.kind !== 'same'
    if (verdict.kind !== 'same') {
      const then = await restored.act(verdict, { here: place, end: look.safe, signal })
      place = then.place
      return then.more
    }
    needs.progress?.stopped(null)
    if (watch.toldUpTo() !== null) {
      place = await restored.tell(place, look.safe, signal)
      return true
    }
    sayIfAhead(place.events, look.newest)
    const head = look.safe ?? place.events
    // Of a database that was restored to an older state it says nothing that a room is not there.
    if (place.events > head) return false
    if (leftBehind?.anyReadable()) {
      // A process that goes on after us must not find the room's place ahead of the stream's.
      if (eventsIn(place.stored) !== place.events) place = await take([], place.events, place.stored, signal)
      if (place === null) return true
      await leftBehind.rejoin(place.events, signal)
    }
    if (place.events === head) {
      await watch.passed(head, look.tip)
      return passPurges(place, signal)
    }
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
    await watch.passed(place.events, look.tip)
    needs.progress?.saw(look.newest, place.events)
    // Also here: where much is said each look finds something new.
    return window.upTo < head || passPurges(place, signal)
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

  /** Our stored place; null: none was ever stored. */
  async function findPlace(): Promise<Place | null> {
    await watch.open()
    await leftBehind?.load()
    const stored = await tokenOf(SOURCE)
    const events = eventsIn(stored)
    if (events === null) return null
    // Our own database went back: what it was told since is to be told again.
    if (events < lastTaken) windowItems.forget()
    log.debug({ events }, 'Synapse: going on from the stored place')
    return { stored, events }
  }

  /** The first start; true: our place is known now. */
  async function begin(head: number | null, signal: AbortSignal): Promise<boolean> {
    if (head === null) {
      if (!saidUnnoted)
        log.info('Synapse: no event writer has noted a place yet; waiting for its next event, or 11 minutes')
      saidUnnoted = true
      return false
    }
    place = await take([], head, null, signal)
    if (place !== null)
      log.info(
        { events: head },
        'Synapse: first start, at the head of its stream: what it held before is not sent',
      )
    return true
  }

  /** Stores items and the new place; null: not taken, or it is unknown whether, and the place is to be asked for. */
  async function take(
    items: Item[],
    events: number,
    from: string | null,
    signal: AbortSignal,
    onlyKnownRooms = false,
  ): Promise<Place | null> {
    if ((needs.connections?.() ?? 0) !== lookedThrough)
      throw new Error('another connection to Synapse was opened within a look, maybe to another server')
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
        "Synapse: its stream ends before limpet's place in it: does this standby lag, or was its database restored?",
      )
    }
    wasAhead = ahead
  }

  /** Takes all there is now, once this process is the one that reads. */
  async function catchUp(signal: AbortSignal): Promise<void> {
    if (!mayRead()) {
      // Somebody else moves our place meanwhile.
      place = null
      await needs.lease?.wait(signal)
    }
    let more = true
    while (more && !signal.aborted && mayRead()) more = await step(signal)
  }

  async function check(): Promise<void> {
    await needs.mayRead?.()
    await checkServerName(pool, serverName)
    await checkStateGroups(pool)
  }

  function halve(): boolean {
    if (limit <= 1) return false
    limit = Math.floor(limit / 2)
    return true
  }

  async function run(signal: AbortSignal): Promise<void> {
    const onMessage = (message: string) => {
      const announced = announcedBy(message)
      if (announced !== undefined) bell.ring(announced)
    }
    needs.subscribe?.(serverName, onMessage, signal)
    const placeToRead = () => (mayRead() && !waits ? (place?.events ?? null) : null)
    const ofThoseBehind = leftBehind?.run(placeToRead, signal)
    try {
      const { lease, progress } = needs
      await keepFollowing({ check, catchUp, halve, bell, lease, progress, pollMs, clock, log }, signal)
      await watch.keep()
    } finally {
      if (signal.aborted) await ofThoseBehind
    }
  }

  return { run }
}
