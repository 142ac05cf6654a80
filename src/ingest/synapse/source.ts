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
import type { Append } from '../append.ts'
import type { Item } from '../items.ts'
import { makeAfterRestore, type Place } from './after-restore.ts'
import { makeBell } from './bell.ts'
import type { Progress } from './progress.ts'
import { makePurges, type PurgeNeeds } from './purges.ts'
import { makeRedactionItems, REDACTIONS_A_COMMIT, type RedactionItemsNeeds } from './redaction-items.ts'
import type { Redaction, UnreadableRedaction } from './redactions.ts'
import { refusalOf, SynapseRefused } from './refused.ts'
import { makeRestoredWatch } from './restored.ts'
import { checkServerName, checkStateGroups } from './safe-head.ts'
import { makeStreamEnd } from './stream-end.ts'
import { timelineInMemory, type TimelineStore } from './timeline.ts'
import { eventsIn, tokenAt } from './token.ts'
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
  /** Told how it goes. */
  readonly progress?: Pick<Progress, 'saw' | 'failed' | 'stopped'> | undefined
  /** By which a restored database is noticed; left out, only while this process runs. */
  readonly timeline?: TimelineStore | undefined
  /** How many connections to Synapse's database were opened: those of one may all lead to other servers than the next. */
  readonly connections?: (() => number) | undefined
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

/** Its name among sources. */
export const SOURCE = 'synapse'
const WINDOW_EVENTS = 500
/** Windows without items move the stored token only every so many stream orderings; until then they would be read again. */
const UNSTORED_SPAN = 1_000
const LONGEST_WAIT_MS = 30_000

export function makeSynapseSource(needs: SynapseSourceNeeds): SynapseSource {
  const { pool, serverName, append, tokenOf, clock, log, pollMs = 1_000 } = needs
  const purges = makePurges({ ...needs.purges, pool, clock })
  const { parseItem, held } = needs
  const redactions = makeRedactionItems({ pool, parseItem, held, log })
  const windowItems = makeWindowItems({ pool, serverName, parseItem, log, purges, redactions })
  let place: Place | null = null
  const end = makeStreamEnd({ db: pool, clock })
  const monotonic = () => clock.monotonic()
  const watch = makeRestoredWatch({ store: needs.timeline ?? timelineInMemory(), monotonic, log })
  const restored = makeAfterRestore({
    ...{ pool, serverName, watch, take, log, told: needs.purges.told, progress: needs.progress },
    forget: () => windowItems.forget(),
  })
  let lastTaken = 0
  let wasAhead = false
  let saidUnnoted = false
  let lookedThrough = 0

  /** Takes a window; true: there is more to do at once. */
  async function step(signal: AbortSignal): Promise<boolean> {
    place ??= await findPlace()
    const look = await end.look(place?.events ?? null, watch.asked())
    lookedThrough = needs.connections?.() ?? 0
    if (place === null) return begin(look.safe, signal)
    const verdict = await watch.judge(look, place.events)
    needs.progress?.saw(look.newest, place.events)
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
    if (place.events === head) {
      await watch.passed(head, look.tip)
      return passPurges(place, signal)
    }
    const { ahead, window } = await redactions.split(await readNext(place.events, head))
    for (const piece of ahead) {
      place = await takeAhead(piece, place, signal)
      if (place === null) return true
      if (signal.aborted) return false
    }
    const { items, taken } = await windowItems.read(window, place.events)
    const unstored = window.upTo - (eventsIn(place.stored) ?? 0)
    if (items.length > 0 || ahead.length > 0 || unstored >= UNSTORED_SPAN) {
      place = await take(items, window.upTo, place.stored, signal)
      if (place === null) return true
    } else {
      place = { ...place, events: window.upTo }
    }
    taken()
    await watch.passed(place.events, look.tip)
    needs.progress?.saw(look.newest, place.events)
    return window.upTo < head
  }

  /** The next window; a short one where its own events are redacted already, so that not too much is in one commit. */
  async function readNext(after: number, head: number): Promise<Window> {
    const span = { after, head, limit: WINDOW_EVENTS, serverName, leaveOut }
    const window = await readWindow(pool, span)
    const own = new Set(window.events.map((row) => row.event_id))
    const redacted = window.redactions.filter((one) => own.has(one.event_id))
    return redacted.length <= REDACTIONS_A_COMMIT
      ? window
      : readWindow(pool, { ...span, limit: REDACTIONS_A_COMMIT })
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
  ): Promise<Place | null> {
    if ((needs.connections?.() ?? 0) !== lookedThrough)
      throw new Error('another connection to Synapse was opened within a look, maybe to another server')
    const sourceToken = tokenAt(events)
    const result = await append({ source: SOURCE, sourceToken, ifSourceToken: from, items })
    switch (result.kind) {
      case 'invalid': {
        // Only the database could tell: one odd item must not stop the stream.
        const { index, path, message } = result
        const odd = items[index]
        if (odd === undefined) throw new Error(`the items were not taken: ${message}`)
        const event_id = 'eventId' in odd ? odd.eventId : undefined
        log.error({ type: odd.type, event_id, path }, `Synapse: an item was left out: ${message}`)
        return take(items.toSpliced(index, 1), events, from, signal)
      }
      case 'taken':
        lastTaken = events
        // Somebody purged a room that we had told: it is told anew with its next event.
        for (const roomId of result.unknownRooms) windowItems.forget(roomId)
        return { stored: sourceToken, events }
      case 'token_mismatch':
        log.debug('Synapse: another process took this part of the stream')
        return null
      case 'busy':
        await clock.sleep(result.retryAfterMs, signal)
        return null
      default:
        throw new Error(`the items were not taken: ${result.message}`)
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

  /** Takes all there is now. */
  async function catchUp(signal: AbortSignal): Promise<void> {
    let more = true
    while (more && !signal.aborted) more = await step(signal)
  }

  async function run(signal: AbortSignal): Promise<void> {
    const bell = makeBell(clock)
    const onMessage = (message: string) => {
      if (/^(?:RDATA|POSITION) events /.test(message)) bell.ring()
    }
    needs.subscribe?.(serverName, onMessage, signal)
    let checked = false
    let failures = 0
    while (!signal.aborted) {
      try {
        if (!checked) {
          await needs.mayRead?.()
          await checkServerName(pool, serverName)
          await checkStateGroups(pool)
        }
        checked = true
        await catchUp(signal)
        if (failures > 0) log.info('Synapse: its stream is taken again')
        failures = 0
      } catch (error) {
        const cause = refusalOf(error)
        needs.progress?.failed(cause)
        if (cause instanceof SynapseRefused) throw cause
        failures += 1
        if (failures === 1) log.warn({ err: error }, 'Synapse: its stream could not be taken; trying again')
      }
      if (failures === 0) await bell.wait(pollMs, signal)
      else await clock.sleep(Math.min(pollMs * 2 ** failures, LONGEST_WAIT_MS), signal)
    }
    await watch.keep()
  }

  return { run }
}
