/**
 * Follows a Synapse: its own events and its rooms' servers become items, in the order of its stream.
 *
 * The truth is in Synapse's database, which is read at every poll. Its Redis only says when to look sooner, so losing
 * it costs nothing but promptness. Our place is the source token of source `synapse`. It moves in the commit that
 * stores the items, and only from where we thought it was. So several processes may run this, and each window is taken
 * once; with a lease only one of them reads. The first start begins at the safe head. A window that cannot be read in
 * time is halved, and a room that cannot be read in time waits by itself (`left-behind.ts`). limpet only reads; it
 * writes nothing of Synapse's.
 */
import { isRoomId } from '../../matrix/ids.ts'
import type { Pool } from '../../store/db.ts'
import type { Item } from '../items.ts'
import { makeAfterRestore } from './after-restore.ts'
import { announcedBy, makeBell } from './bell.ts'
import { keepFollowing } from './keep-following.ts'
import { makeLeftBehind } from './left-behind.ts'
import { makeOurPlace, type SourcePlace } from './our-place.ts'
import { makePurges } from './purges.ts'
import { makeRedactionItems, REDACTIONS_A_COMMIT } from './redaction-items.ts'
import type { SynapseRedaction, UnreadableRedaction } from './redactions.ts'
import { AnotherServer } from './refused.ts'
import { makeRestoredWatch } from './restored.ts'
import { readRoomByRoom, withoutRooms } from './room-by-room.ts'
import { checkServerName, checkStateGroups, readPlacesBefore } from './safe-head.ts'
import type { SynapseSourceNeeds } from './source-needs.ts'
import { makeStoreItems } from './store-items.ts'
import { makeStreamEnd } from './stream-end.ts'
import { timelineInMemory } from './timeline.ts'
import { eventsIn } from './token.ts'
import { readWindow, type Window, type WindowSpan } from './window.ts'
import { makeWindowItems } from './window-items.ts'

export type { Subscribe, SynapseSourceNeeds } from './source-needs.ts'
export { SOURCE } from './token.ts'

export interface SynapseSource {
  /** Runs until `signal` aborts. @throws SynapseRefused where this Synapse must not be read */
  run(signal: AbortSignal): Promise<void>
}

const WINDOW_EVENTS = 500
/** Windows without items move the stored token only after this many stream orderings; until then they would be read again. */
const UNSTORED_SPAN = 1_000

export function makeSynapseSource(needs: SynapseSourceNeeds): SynapseSource {
  const { pool, serverName, append, tokenOf, clock, log, pollMs = 1_000 } = needs
  const purges = makePurges({ ...needs.purges, pool, clock })
  const { parseItem, held, heldBy, skipped } = needs
  const redactions = makeRedactionItems({ pool, parseItem, held, heldBy, log })
  const readTo = (at: number) => needs.progress?.readTo(at)
  const windowItems = makeWindowItems({
    ...{ pool, serverName, parseItem, log, purges, redactions, skipped },
    readTo,
  })
  const store = makeStoreItems({ append, log })
  const leftBehind = makeBehind()
  const bell = makeBell(clock)
  const mayRead = () => needs.lease?.held() ?? true
  let limit = WINDOW_EVENTS
  let place: SourcePlace | null = null
  const end = makeStreamEnd({ db: pool, clock })
  const monotonic = () => clock.monotonic()
  const watch = makeRestoredWatch({ store: needs.timeline ?? timelineInMemory(), monotonic, log })
  const ours = makeOurPlace({
    ...{ tokenOf, store, clock, log },
    forget: (roomId) => windowItems.forget(roomId),
    refuse: refuseOtherConnection,
    stored: () => needs.progress?.stored(),
  })
  const { take } = ours
  const restored = makeAfterRestore({
    ...{ pool, serverName, watch, take, log, told: needs.purges.told, progress: needs.progress },
    forget: () => windowItems.forget(),
    goBackTo: async (at) => leftBehind?.goBackTo(at),
  })
  let wasAhead = false
  /** For an operator's word: the database was restored. */
  let waits = true
  let lookedThrough = 0
  /** Which answered the last look. */
  let server = ''

  /** Takes a window; true: there is more to do at once. */
  async function step(signal: AbortSignal): Promise<boolean> {
    place ??= await findPlace()
    const looked = bell.look()
    const look = await end.look(place?.events ?? null, watch.asked())
    looked(look.newest)
    lookedThrough = needs.connections?.() ?? 0
    comeTo(look.server)
    if (place === null) {
      place = await ours.begin(look.safe, signal)
      return look.safe !== null
    }
    const verdict = await watch.judge(look, place.events)
    needs.progress?.saw(look.newest, place.events)
    waits = verdict.kind !== 'same'
    if (verdict.kind !== 'same') {
      const then = await restored.act(verdict, { here: place, end: look.safe, signal })
      place = then.place
      return then.more
    }
    needs.progress?.stopped(null)
    if (watch.knowsNothing()) await watch.remember(await readPlacesBefore(pool, place.events))
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
      if (eventsIn(place.stored) !== place.events)
        place = await take([], { events: place.events, from: place.stored }, signal)
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
    // Where a room was left behind, the others' place is stored with it: it would come too late if that room is never readable.
    if (items.length > 0 || passed || slow.length > 0 || unstored >= UNSTORED_SPAN) {
      place = await take(items, { events: window.upTo, from: place.stored, onlyKnownRooms: true }, signal)
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
    const { pool: patient, tokens, drop } = needs.behind
    const parts = {
      parseItem,
      log,
      serverName,
      pool: patient,
      purges: makePurges({ ...needs.purges, pool: patient, clock }),
    }
    return makeLeftBehind({
      ...{ store, tokens, drop, clock, log },
      makeItems: () =>
        makeWindowItems({ ...parts, skipped, redactions: makeRedactionItems({ ...parts, held, heldBy }) }),
      read: (span) => readHere(patient, { ...span, limit: REDACTIONS_A_COMMIT, serverName, leaveOut }),
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
    const window = await readHere(pool, span)
    const own = new Set(window.events.map((row) => row.event_id))
    const redacted = window.redactions.filter((one) => own.has(one.event_id))
    return redacted.length <= REDACTIONS_A_COMMIT
      ? window
      : readHere(pool, { ...span, limit: Math.min(limit, REDACTIONS_A_COMMIT) })
  }

  /** A window as the server has it that told us the end of the stream: another one may be behind it. */
  async function readHere(from: Pool, span: WindowSpan): Promise<Window> {
    const window = await readWindow(from, span)
    if (window.server !== server)
      throw new AnotherServer('the events came from a different server than the end of the stream')
    return window
  }

  function refuseOtherConnection(): void {
    if ((needs.connections?.() ?? 0) !== lookedThrough)
      throw new Error('a new connection to Synapse was opened during the look, perhaps to another server')
  }

  /** Another server than before may have another state of the rooms: a standby that took over without the last commits. */
  function comeTo(another: string): void {
    if (server !== '' && another !== server) {
      windowItems.forget()
      leftBehind?.forget()
    }
    server = another
  }

  function leaveOut({ error, ...redaction }: UnreadableRedaction): void {
    log.error({ err: error, ...redaction }, 'Synapse: left out a redaction that cannot be read')
  }

  /** Passes on a piece of a window's redactions; our place stays where it is. */
  async function takeAhead(
    piece: SynapseRedaction[],
    here: SourcePlace,
    signal: AbortSignal,
  ): Promise<SourcePlace | null> {
    const items = [...(await redactions.itemsOf(piece)).values()]
    if (items.length === 0) return here
    const taken = await take(items, { events: eventsIn(here.stored) ?? 0, from: here.stored }, signal)
    return taken === null ? null : { ...taken, events: here.events }
  }

  /** Passes on that rooms are gone; true: our place is to be looked at again. */
  async function passPurges(here: SourcePlace, signal: AbortSignal): Promise<boolean> {
    const gone = (await purges.due()).filter(isRoomId)
    if (gone.length === 0) return false
    const items = gone.map((roomId): Item => ({ type: 'purge', roomId }))
    const stored = await take(items, { events: eventsIn(here.stored) ?? 0, from: here.stored }, signal)
    place = stored === null ? null : { ...stored, events: here.events }
    if (stored === null) return true
    for (const roomId of gone) windowItems.forget(roomId)
    log.info({ rooms: gone.length }, 'Synapse: passed on the purge of rooms')
    return false
  }

  async function findPlace(): Promise<SourcePlace | null> {
    await watch.open()
    await leftBehind?.load()
    return ours.find()
  }

  function sayIfAhead(events: number, head: number): void {
    const ahead = events > head
    if (ahead && !wasAhead) {
      log.error(
        { events, head },
        "Synapse: its stream ends before limpet's place in it: does this standby lag, or was the database restored?",
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
