/**
 * Was Synapse's database restored to an older state while we followed it? If so, nothing is taken until an operator
 * says so.
 *
 * After a restore Synapse gives the same numbers to other events. An event at or below our place would never be sent,
 * and what we know of its rooms belongs to another timeline. Every look checks for it: another event stands where an
 * anchor is, or the stream ends before our place. On a standby the end alone proves nothing, because it may just lag;
 * there only the events tell, once there are new ones.
 */
import type { Log } from '../../observe/log.ts'
import { anchorOf, compareAnchors, withAnchor } from './anchors.ts'
import type { PlacedEvent, StreamLook } from './safe-head.ts'
import { NEW_TIMELINE, type Restored, type Timeline, type TimelineStore } from './timeline.ts'

export type RestoreVerdict =
  | { readonly kind: 'same' }
  /** Nothing may be taken. */
  | { readonly kind: 'stopped'; readonly restored: Restored; readonly isNew: boolean }
  /** An operator said to go on: at the last common place, if one is known. */
  | { readonly kind: 'go on'; readonly common: number | null }
  /** Another process went on: where we are is to be found anew. */
  | { readonly kind: 'moved' }

export interface RestoredWatch {
  /** Reads what is remembered. Call it whenever our place is looked up. */
  open(): Promise<void>
  /** Whether no event is remembered. */
  knowsNothing(): boolean
  /** Events up to our place, the oldest first: they stand in the timeline that we follow. */
  remember(events: readonly PlacedEvent[]): Promise<void>
  /** The numbers whose events are to be looked at. */
  asked(): number[]
  judge(
    look: Pick<StreamLook, 'noted' | 'newest' | 'found' | 'standby' | 'server'>,
    place: number,
  ): Promise<RestoreVerdict>
  /** We have read up to `place`, and `tip` is the newest event of the stream. */
  passed(place: number, tip: PlacedEvent | null): Promise<void>
  /** Writes down what isn't written yet: before an end. */
  keep(): Promise<void>
  /** We go on after the last common place (null: none is known); all rooms are to be told anew. */
  wentOn(common: number | null): Promise<void>
  /** The rooms (by limpet's id) up to which all have been told anew; null: there is nothing to tell. */
  toldUpTo(): number | null
  tellingDone(upTo: number | null): Promise<void>
}

/** What an operator is told, in one line. */
export function saidOfRestore({ place, head, common }: Restored): string {
  const same =
    common === null
      ? 'it has none of the events that limpet remembers'
      : `both have the same events up to ${common}`
  return (
    `its database was restored to an older state: limpet had read up to ${place}, ${same}, and it ends at ${head}. ` +
    'Nothing is taken from it until you run: limpet source synapse --continue'
  )
}

/** Anchors are written down at most so often. */
const KEEP_EVERY_MS = 1_000

export function makeRestoredWatch({
  store,
  monotonic,
  log,
}: {
  store: TimelineStore
  monotonic: () => number
  log: Log
}): RestoredWatch {
  let timeline: Timeline = NEW_TIMELINE
  let keptAt = -Infinity
  let isKept = true
  let hasLooked = false

  async function change(to: Partial<Timeline>): Promise<void> {
    await store.save(to, timeline.continued)
    timeline = { ...timeline, ...to }
  }

  /** Whether what is stored is of after a command that we don't know of. */
  async function adopt(): Promise<boolean> {
    const stored = await store.load()
    const isLater = stored.continued !== timeline.continued
    const ours = timeline.anchors[0]?.at ?? 0
    const anchors = isLater || (stored.anchors[0]?.at ?? 0) > ours ? stored.anchors : timeline.anchors
    timeline = { ...stored, anchors }
    return isLater
  }

  /**
   * A standby that took over without the last commits gives numbers out only beyond those that its log had set aside, so that nothing is at ours:
   * nothing is missed then, but who came or left in what was lost was told.
   */
  async function compareServer(
    { server, newest, found }: Pick<StreamLook, 'server' | 'newest' | 'found'>,
    place: number,
  ): Promise<void> {
    const { server: before, anchors } = timeline
    // One that lags has not got it yet.
    if (server === before || newest < place) return
    const isGone =
      before !== null && anchors[0] !== undefined && !found.some(({ at }) => at === anchors[0]?.at)
    if (isGone)
      log.warn(
        { place },
        'Synapse: another server answers, without the newest event that was read; telling all rooms again',
      )
    await change({ server, ...(isGone ? { toldUpTo: 0 } : {}) })
  }

  async function keep(): Promise<void> {
    if (isKept || timeline.restored !== null) return
    ;[isKept, keptAt] = [true, monotonic()]
    // They are only marks: without the newest we go on, and the next is as good.
    await store
      .save({ anchors: timeline.anchors }, timeline.continued)
      .catch((error: unknown) => log.debug({ err: error }, 'Synapse: could not write an anchor'))
  }

  return {
    async open() {
      await adopt()
    },
    knowsNothing: () => timeline.anchors.length === 0 && !hasLooked,
    async remember(events) {
      hasLooked = true
      const anchors = events.map(anchorOf).reduce(withAnchor, timeline.anchors)
      timeline = { ...timeline, anchors }
      isKept = false
      await keep()
    },
    asked: () => timeline.anchors.map(({ at }) => at),
    async judge(look, place) {
      const { standing, others } = compareAnchors(timeline.anchors, look.found)
      const isAhead = look.noted !== null && look.noted < place && !look.standby
      const differs = others.length > 0 || isAhead
      if (!differs && timeline.restored === null) {
        await compareServer(look, place)
        return { kind: 'same' }
      }
      const known = timeline.restored
      if (await adopt()) return { kind: 'moved' }
      const lowest = Math.min(...others.map(({ at }) => at))
      const common = standing.find(({ at }) => at < lowest)?.at ?? null
      if (timeline.restored !== null) {
        if (timeline.goOn) return { kind: 'go on', common }
        return { kind: 'stopped', restored: timeline.restored, isNew: known === null }
      }
      const restored = { place, head: look.newest, common }
      await change({ restored, goOn: false, anchors: timeline.anchors })
      return { kind: 'stopped', restored, isNew: true }
    },
    async passed(place, tip) {
      if (tip !== null && tip.at <= place && (timeline.anchors[0]?.at ?? 0) < tip.at) {
        timeline = { ...timeline, anchors: withAnchor(timeline.anchors, anchorOf(tip)) }
        isKept = false
      }
      if (monotonic() - keptAt >= KEEP_EVERY_MS) await keep()
    },
    keep,
    async wentOn(common) {
      hasLooked = false
      await change({
        anchors: common === null ? [] : timeline.anchors.filter(({ at }) => at <= common),
        restored: null,
        goOn: false,
        toldUpTo: 0,
        continued: timeline.continued + 1,
      })
    },
    toldUpTo: () => timeline.toldUpTo,
    tellingDone: (upTo) => change({ toldUpTo: upTo }),
  }
}
