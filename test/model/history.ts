/**
 * The reference model: what limpet was told, as plainly as possible, and what it owes to one destination.
 *
 * No cursors, no intervals, no lanes: of every event it is remembered whom it was for when it came, and
 * every attempt to deliver it. What must and what may be sent is asked of that.
 */
import type { ModelItem, Sender } from './driver.ts'
import { SETTINGS } from './driver.ts'
import { makePastEdus } from './past-edus.ts'

/** An answer that limpet wrote down. */
export interface Told {
  /** Head of the stream when the transaction was read, and when its answer was written down. */
  readAt: number
  writtenAt: number
  /** By the clock. */
  at: number
  listed: boolean
}

export interface PastEvent {
  pos: number
  room: number
  eventId: string
  by: Sender
  pdu: string
  receivedAt: number
  /** By a clock that nobody moves. */
  takenAt: number
  /** It was owed, and became too old even for that. */
  givenUp: boolean
  stickyUntil: number | null
  odd: boolean
  /** It is for us, by its address or by our being in the room at its position. */
  entitled: boolean
  /** Addressed to us while we were not in the room. */
  outside: boolean
  redactedAt: number | null
  purgedAt: number | null
  erasedAt: number | null
  /** It was erased while a gap covered it: what is before it in its room may have been passed by for it. */
  erasedInGap: boolean
  /** By an operator; above all positions, or 0: it was not. */
  droppedAt: number
  told: Told[]
  /** It is out of all lanes. */
  apart: boolean
}

/** Nothing of it is stored any more. */
export const isGone = ({ purgedAt, erasedAt }: PastEvent): boolean => purgedAt !== null || erasedAt !== null

interface Stay {
  /** Position of the join, and of the leave. */
  from: number
  until: number | null
  /** When we joined, by the clock. */
  at: number
}

export type History = ReturnType<typeof makeHistory>

export function makeHistory() {
  const events = new Map<number, PastEvent>()
  const stays = new Map<number, Stay[]>()
  /** Rooms whose servers were told since they were last forgotten. */
  const known = new Set<number>()

  /** Up to where an operator has given up what is owed, and up to where that has been carried out. */
  let skip = { wished: 0, done: 0 }

  const staysIn = (room: number) => stays.get(room) ?? []
  const stayAt = (room: number, head: number) =>
    staysIn(room).find(({ from, until }) => from <= head && (until === null || until > head)) ?? null
  const stayNow = (room: number) => staysIn(room).find(({ until }) => until === null) ?? null

  const edus = makePastEdus({
    inRoom: (room) => stayNow(room) !== null,
    isKnown: (room) => known.has(room),
  })

  function take(item: ModelItem, pos: number, now: number, takenAt: number): void {
    switch (item.type) {
      case 'edu':
        edus.take(item, pos, now)
        return
      case 'event': {
        const inRoom = stayNow(item.room) !== null
        const addressed = item.to !== null ? item.to.includes('us') : item.alsoTo.includes('us')
        const byRoom = item.to === null && inRoom && !item.notTo.includes('us')
        events.set(pos, {
          pos,
          room: item.room,
          eventId: item.eventId,
          by: item.by,
          pdu: item.pdu,
          receivedAt: now,
          ...{ takenAt, givenUp: false },
          stickyUntil: item.stickyMs === null ? null : now + Math.min(item.stickyMs, SETTINGS.maxStickyMs),
          odd: item.odd,
          entitled: addressed || byRoom,
          outside: addressed && !inRoom,
          redactedAt: null,
          purgedAt: null,
          ...{ erasedAt: null, erasedInGap: false },
          droppedAt: 0,
          told: [],
          apart: false,
        })
        return
      }
      case 'servers': {
        known.add(item.room)
        const stay = stayNow(item.room)
        if (item.remove.includes('us') && stay !== null) stay.until = pos
        if (item.add.includes('us')) join(item.room, pos, now)
        return
      }
      case 'set': {
        known.add(item.room)
        const stay = stayNow(item.room)
        if (item.set.includes('us')) join(item.room, pos, now)
        else if (!item.keep.includes('us') && stay !== null) stay.until = pos
        return
      }
      case 'redact': {
        for (const event of events.values()) {
          if (event.eventId !== item.eventId || isGone(event)) continue
          event.pdu = item.pdu
          event.redactedAt = pos
        }
        return
      }
      case 'erase': {
        for (const event of events.values()) {
          const isMeant = 'by' in item ? event.by === item.by : item.eventIds.includes(event.eventId)
          if (isMeant && !isGone(event)) event.erasedAt = pos
        }
        return
      }
      case 'purge': {
        for (const event of events.values()) if (event.room === item.room) event.purgedAt ??= pos
        const stay = stayNow(item.room)
        if (stay !== null) stay.until = pos
        known.delete(item.room)
        edus.purge(item.room, pos)
      }
    }
  }

  function join(room: number, pos: number, now: number): void {
    if (stayNow(room) === null) stays.set(room, [...staysIn(room), { from: pos, until: null, at: now }])
  }

  /** By a clock that nobody moves. */
  let time = 0
  const isSticky = (event: PastEvent, now: number) =>
    event.stickyUntil !== null && now < event.stickyUntil && event.redactedAt === null && !isGone(event)

  return {
    take,
    edus,
    /** How many positions it takes. */
    widthOf: (item: ModelItem) => (item.type === 'edu' ? edus.widthOf(item) : 1),
    all: () => [...events.values()],
    at: (pos: number) => events.get(pos),
    isSticky,
    /** Not so where a clock that was wrong made it sticky for longer than anything may be: it may have been ended. */
    isCertainlySticky: (event: PastEvent, now: number) =>
      isSticky(event, now) && time - event.takenAt < SETTINGS.maxStickyMs,
    passedTo: (now: number) => {
      time = now
    },
    /** What is owed up to `upto` may be left out from now on. */
    skipWished: (upto: number) => {
      skip = { ...skip, wished: upto }
      for (const event of events.values())
        if (event.pos <= upto && event.told.length === 0) event.givenUp = true
      edus.skipWished(upto)
    },
    /** It must be, from now on. */
    skipped: (upto: number) => {
      skip = { ...skip, done: upto }
    },
    isSkipWished: () => skip.wished > skip.done,
    skippedUpTo: () => skip.done,
    /** What would owe it (its own place, or the join that replays it) is of before a skip. */
    isOfBeforeSkip: (place: number) => place <= skip.wished,
    inRoomAt: (room: number, head: number) => stayAt(room, head) !== null,
    inRoomNow: (room: number) => stayNow(room) !== null,
    isKnown: (room: number) => known.has(room),
    /** The join that replays this event to us, if we are in the room (as of `head`) and joined after it. */
    joinAfter: (event: PastEvent, head: number): Stay | null => {
      const stay = stayAt(event.room, head)
      return stay !== null && stay.from >= event.pos ? stay : null
    },
    /** Joins of its room after `head`. */
    joinedSince: (room: number, head: number) => staysIn(room).some(({ from }) => from > head),
    /** Returns what puts everything back as it is now. */
    save: () => {
      const past = [...events].map(([pos, event]) => [pos, { ...event, told: [...event.told] }] as const)
      const been = [...stays].map(([room, those]) => [room, those.map((stay) => ({ ...stay }))] as const)
      const told = [...known]
      const skips = skip
      const putBackEdus = edus.save()
      return () => {
        putBackEdus()
        known.clear()
        skip = skips
        for (const room of told) known.add(room)
        events.clear()
        for (const [pos, event] of past) events.set(pos, { ...event, told: [...event.told] })
        stays.clear()
        for (const [room, those] of been)
          stays.set(
            room,
            those.map((stay) => ({ ...stay })),
          )
      }
    },
    /** Entitled events with after < pos <= upto of which no answer was written down. */
    waiting: (after: number, upto: number) =>
      [...events.values()].filter(
        (event) =>
          event.entitled &&
          event.pos > after &&
          event.pos <= upto &&
          event.told.length === 0 &&
          !isGone(event) &&
          !event.givenUp,
      ),
  }
}
