/**
 * The tables that one destination's delivery needs, in memory, and the statements on them: each method does
 * what the SQL of the same name in `src/store` does, as plainly as it can be said.
 *
 * `bugs` are planted by `bites.test.ts`, to show that the model test sees them.
 */
import type { Waiting } from '../../src/deliver/backoff.ts'
import type { Pdu, StickyPdu } from '../../src/deliver/plan.ts'
import type { DestinationState, StoredAcknowledges } from '../../src/store/destination-state.ts'
import { SETTINGS, type ModelItem } from './driver.ts'

export interface Bugs {
  /** A membership does not cover the event at its end. */
  untilExclusive?: boolean
  /** Replays of joins are kept by the worker instead of the database. */
  joinsDieWithWorker?: boolean
  /** What was listed before a rejoin is not replayed after it. */
  rejoinForgotten?: boolean
  /** What lapsed is read, and frozen, all the same. */
  lapseUnchecked?: boolean
  /** Only replays that an answer does not list are noted. */
  unlistedOnlyReplays?: boolean
  /** An acknowledgement is written with the next freeze, and lost when the worker dies before. */
  lateAcknowledgement?: boolean
  /** A freeze does not ask whether a redact or purge came after its reading. */
  redactUnchecked?: boolean
  /** What an operator asks while a request is under way is overwritten by its result. */
  wishesOverwritten?: boolean
  /** A worker whose lease is over still writes. */
  staleWriter?: boolean
}

interface StoredEvent extends Pdu {
  room: number
  stickyUntil: number | null
  recipients: { exact: boolean; us: boolean; less: boolean } | null
}

interface Membership {
  room: number
  since: number
  until: number | null
}

interface Owed {
  room: number | null
  after: number
  upto: number | null
  cursor: number
}

interface Replay {
  state: 'sent' | 'unlisted'
  listedAt: number | null
  tries: number
  nextAt: number | null
}

interface Gap {
  id: number
  from: number
  to: number
  cursor: number
  batch: number
  open: boolean
}

export interface Open {
  txnId: string
  body: string | null
  createdAt: number
  worker: string
  acknowledges: StoredAcknowledges
}

const NO_WAITS: Waiting = {
  failures: 0,
  failingSince: null,
  retryAt: null,
  retryInterval: null,
  holdKind: null,
  holdUntil: null,
  adviceAt: null,
  adviceUp: false,
  adviceAfter: null,
  adviceStep: null,
  askedAt: null,
}
const ADVICE_DELAY_MS = 2_500
const UNLISTED_WAIT_MS = 15_000

export type MemoryStore = ReturnType<typeof makeMemoryStore>

export function makeMemoryStore(bugs: Bugs) {
  let now = 1_700_000_000_000
  let head = 0
  let known = false
  let events = new Map<number, StoredEvent>()
  let memberships: Membership[] = []
  const sticky = new Map<number, { room: number; expiresAt: number }>()
  let owed: Owed[] = []
  const replays = new Map<number, Replay>()
  const gaps: Gap[] = []
  const takenAway: number[] = []
  let open: Open | null = null
  let worker = 1
  const row = {
    position: 0,
    paused: false,
    lists: false,
    timeoutMs: null as number | null,
    lookAt: null as number | null,
    waiting: NO_WAITS,
  }

  // -- ingest --

  function append(items: readonly ModelItem[]): { last: number; now: number } {
    for (const item of items) take(item, (head += 1))
    return { last: head, now }
  }

  function take(item: ModelItem, pos: number): void {
    switch (item.type) {
      case 'event': {
        const { room, eventId, pdu, stickyMs, to, alsoTo, notTo } = item
        const list = to ?? alsoTo
        if (list.includes('us') || notTo.includes('us')) makeKnown(pos)
        const until = stickyMs === null ? null : now + Math.min(stickyMs, SETTINGS.maxStickyMs)
        const plain = to === null && alsoTo.length === 0 && notTo.length === 0
        const recipients = plain
          ? null
          : { exact: to !== null, us: list.includes('us'), less: notTo.includes('us') }
        events.set(pos, {
          pos,
          room,
          eventId,
          pdu,
          sticky: until !== null,
          receivedTs: now,
          stickyUntil: until,
          recipients,
        })
        if (until !== null) sticky.set(pos, { room, expiresAt: until })
        return
      }
      case 'servers': {
        if (item.remove.includes('us')) leave(item.room, pos)
        if (item.add.includes('us')) join(item.room, pos)
        return
      }
      case 'redact': {
        const target = [...events.values()].find(({ eventId }) => eventId === item.eventId)
        if (target === undefined) return
        target.pdu = item.pdu
        target.sticky = false
        target.stickyUntil = null
        sticky.delete(target.pos)
        if (open?.acknowledges.positions.includes(target.pos) === true) open.body = null
        takenAway.push(pos)
        return
      }
      case 'purge': {
        const gone = [...events.values()].filter(({ room }) => room === item.room).map((event) => event.pos)
        if (open !== null && open.acknowledges.positions.some((one) => gone.includes(one))) open.body = null
        for (const one of gone) {
          sticky.delete(one)
          replays.delete(one)
        }
        events = new Map([...events].filter(([, { room }]) => room !== item.room))
        memberships = memberships.filter(({ room }) => room !== item.room)
        owed = owed.filter(({ room }) => room !== item.room)
        takenAway.push(pos)
      }
    }
  }

  function makeKnown(pos: number): void {
    if (known) return
    known = true
    row.position = pos - 1
  }

  function join(room: number, pos: number): void {
    if (inRoom(room)) return
    makeKnown(pos)
    memberships.push({ room, since: pos, until: null })
    const any = [...sticky.values()].some((one) => one.room === room && one.expiresAt > now)
    owed = owed.filter((one) => one.room !== room)
    if (any) owed.push({ room, after: 0, upto: pos, cursor: 0 })
    advise(false)
  }

  function leave(room: number, pos: number): void {
    for (const one of memberships) if (one.room === room && one.until === null) one.until = pos
    owed = owed.filter((one) => one.room !== room)
  }

  function advise(up: boolean): void {
    const { waiting } = row
    if (waiting.failures === 0 && waiting.holdUntil === null) return
    const at = Math.max(now + ADVICE_DELAY_MS, waiting.adviceAfter ?? 0)
    const earlier = waiting.adviceAt !== null && waiting.adviceAt > now ? waiting.adviceAt : Infinity
    row.waiting = { ...waiting, adviceAt: Math.min(earlier, at), adviceUp: waiting.adviceUp || up }
    if (row.lookAt !== null) row.lookAt = Math.min(row.lookAt, at)
  }

  function wish(what: 'wake' | 'pause' | 'resume' | 'reset'): boolean {
    if (!known) return false
    const { waiting } = row
    if (what === 'wake') {
      const held = waiting.holdKind === 'retry_after' && (waiting.holdUntil ?? 0) > now
      if (row.paused || held) return false
      row.waiting = { ...waiting, askedAt: now }
    }
    if (what === 'reset') row.waiting = { ...NO_WAITS, askedAt: now }
    if (what === 'pause' || what === 'resume') row.paused = what === 'pause'
    if (what !== 'pause') row.lookAt = now
    return true
  }

  // -- entitlement, as in timeline.ts --

  const inRoom = (room: number) => memberships.some((one) => one.room === room && one.until === null)
  const memberAt = ({ room, pos }: StoredEvent) =>
    memberships.some(
      ({ room: of, since, until }) =>
        of === room &&
        since < pos &&
        (until === null || (bugs.untilExclusive ? pos < until - 1 : pos <= until)),
    )
  const addressed = ({ recipients }: StoredEvent) => recipients?.us === true
  const entitled = (event: StoredEvent) => {
    const byRoom = event.recipients === null || (!event.recipients.exact && !event.recipients.less)
    return addressed(event) || (byRoom && memberAt(event))
  }
  const notSent = ({ pos }: { pos: number }) => replays.get(pos)?.state !== 'sent'
  const inOrder = () => [...events.values()].sort((a, b) => a.pos - b.pos)

  function timeline(after: number, upto: number, limit: number): StoredEvent[] {
    return inOrder()
      .filter((event) => event.pos > after && event.pos <= upto && entitled(event) && notSent(event))
      .slice(0, limit)
  }

  function gapRooms(gap: { from: number; to: number; cursor: number }, limit: number): StoredEvent[] {
    const within = inOrder().filter((one) => one.pos > gap.from && one.pos <= gap.to && entitled(one))
    const newest = new Map(within.filter(memberAt).map((one) => [one.room, one.pos]))
    return within
      .filter((one) => newest.get(one.room) === one.pos || (addressed(one) && !memberAt(one)))
      .filter((one) => one.pos > gap.cursor && notSent(one))
      .slice(0, limit)
  }

  const replayOf = (pos: number): StickyPdu[] => {
    const event = events.get(pos)
    const expiresAt = sticky.get(pos)?.expiresAt
    return event === undefined || expiresAt === undefined ? [] : [{ ...event, sticky: true, expiresAt }]
  }

  function owedSticky(at: number, limit: number): StickyPdu[] {
    const since = bugs.lapseUnchecked ? 0 : at
    const gapRow = owed.find(({ room }) => room === null)
    return [...sticky]
      .filter(([pos, { room, expiresAt }]) => {
        const event = events.get(pos)
        if (event === undefined || !inRoom(room) || expiresAt <= since) return false
        const joined = owed.find((one) => one.room === room)
        const replay = replays.get(pos)
        const listedSince = (upto: number) =>
          replay?.state === 'sent' && (bugs.rejoinForgotten === true || (replay.listedAt ?? 0) >= upto)
        if (joined !== undefined && pos > joined.cursor && pos <= (joined.upto ?? 0)) {
          if (!listedSince(joined.upto ?? 0)) return true
        }
        if (gapRow === undefined || pos <= Math.max(gapRow.after, gapRow.cursor)) return false
        return entitled(event) && notSent(event)
      })
      .map(([pos]) => pos)
      .sort((a, b) => a - b)
      .slice(0, limit)
      .flatMap(replayOf)
  }

  const isDueRepeat = (pos: number, at: number) => {
    const one = sticky.get(pos)
    return (
      replays.get(pos)?.state === 'unlisted' && one !== undefined && one.expiresAt > at && inRoom(one.room)
    )
  }

  function unlisted(at: number, limit: number): StickyPdu[] {
    return [...replays]
      .filter(([pos, { nextAt }]) => isDueRepeat(pos, at) && nextAt !== null && nextAt <= at)
      .map(([pos]) => pos)
      .sort((a, b) => a - b)
      .slice(0, limit)
      .flatMap(replayOf)
  }

  // -- the holder's statements --

  const openedGap = () => gaps.find((gap) => gap.open) ?? null

  function load(id: number): (Omit<DestinationState, 'open'> & { open: Open | null }) | null {
    if (!known) return null
    const gap = openedGap()
    const times = [...replays].flatMap(([pos, { nextAt }]) =>
      isDueRepeat(pos, now) && nextAt !== null ? [nextAt] : [],
    )
    return {
      id: 1,
      name: 'us',
      held: holds(id),
      now,
      head,
      position: row.position,
      wakeSeq: 0,
      paused: row.paused,
      lists: row.lists,
      timeoutMs: row.timeoutMs,
      waiting: row.waiting,
      open: open === null ? null : { ...open },
      gap: gap === null ? null : { ...gap },
      owed: owed.map(({ room, upto, cursor }) => ({ room, upto, cursor })),
      unlistedAt: times.length === 0 ? null : Math.min(...times),
    }
  }

  const holds = (id: number) => id === worker || bugs.staleWriter === true

  function freeze(id: number, made: Open & { readAt: number; soonestLapse: number | null }): number | null {
    const { readAt, soonestLapse, ...rest } = made
    const lapsed = soonestLapse !== null && soonestLapse <= now && bugs.lapseUnchecked !== true
    const stale = takenAway.some((pos) => pos > readAt) && bugs.redactUnchecked !== true
    if (!holds(id) || lapsed || stale || open !== null) return null
    open = { ...rest, createdAt: now }
    return now
  }

  function repeat(id: number, txnId: string): number | null {
    if (!holds(id) || open?.txnId !== txnId || open.body === null) return null
    open.worker = String(id)
    return now
  }

  function drop(id: number, txnId: string): void {
    if (holds(id) && open?.txnId === txnId) open = null
  }

  function openGap(id: number, from: number, to: number): boolean {
    if (!holds(id) || row.position !== from || openedGap() !== null) return false
    gaps.push({ id: gaps.length + 1, from, to, cursor: from, batch: 1, open: true })
    owed = [
      ...owed.filter(({ room }) => room !== null),
      { room: null, after: from, upto: null, cursor: from },
    ]
    return true
  }

  function growGap(id: number, to: number): void {
    const gap = openedGap()
    if (holds(id) && gap !== null && gap.cursor === gap.from) gap.to = to
  }

  function moveGap(id: number, move: { cursor: number | null; batch: number | null; closes: boolean }): void {
    const gap = gaps.find((one) => one.id === id && one.open)
    if (gap === undefined) return
    gap.cursor = Math.max(gap.cursor, move.cursor ?? 0)
    gap.batch = move.batch ?? gap.batch
    if (!move.closes) return
    gap.open = false
    owed = owed.filter(({ room }) => room !== null)
  }

  function moveOn(id: number, from: number, to: number, gap: { id: number; cursor: number } | null): boolean {
    if (!holds(id) || row.position !== from) return false
    row.position = to
    if (gap !== null) moveGap(gap.id, { cursor: gap.cursor, batch: null, closes: true })
    return true
  }

  function dropDoneJoins(at: number, upto: number): void {
    owed = owed.filter((one) => {
      if (one.room === null || (one.upto ?? 0) > upto) return true
      return [...sticky].some(([pos, { room, expiresAt }]) => {
        if (room !== one.room || pos <= one.cursor || pos > (one.upto ?? 0) || expiresAt <= at) return false
        const replay = replays.get(pos)
        const listed =
          replay?.state === 'sent' && (bugs.rejoinForgotten || (replay.listedAt ?? 0) >= (one.upto ?? 0))
        return !listed
      })
    })
  }

  function release(id: number, lookAt: number | null, position: number | null): void {
    if (!holds(id)) return
    row.lookAt = lookAt === null ? null : Math.ceil(lookAt)
    row.position = Math.max(row.position, position ?? 0)
  }

  /** As `writeAttemptResults`: false where the lease is over. */
  function write(
    id: number,
    result: {
      txnId: string
      startedAt: number
      acknowledges: StoredAcknowledges
      answered: boolean
      discard: boolean
      waiting: Waiting
      failuresBefore: number
      /** The answer was a 429 or a 410. */
      heldBy: boolean
      timeoutMs: number | null
      lists: boolean
    },
  ): boolean {
    if (!holds(id) || (result.answered && row.position !== result.acknowledges.fromPos)) return false
    const { waiting } = row
    const { startedAt } = result
    if (result.answered) row.position = result.acknowledges.toPos
    const laterAdvice = waiting.adviceAt !== null && waiting.adviceAt > startedAt
    const wasReset = result.failuresBefore > 0 && waiting.failures === 0
    const { holdKind, holdUntil } = result.heldBy ? result.waiting : NO_WAITS
    const after = wasReset ? { ...NO_WAITS, holdKind, holdUntil } : result.waiting
    row.waiting = {
      ...after,
      adviceAt: laterAdvice ? Math.max(waiting.adviceAt ?? 0, after.adviceAfter ?? 0) : null,
      adviceUp: waiting.adviceUp && laterAdvice,
      askedAt: bugs.wishesOverwritten !== true && (waiting.askedAt ?? 0) > startedAt ? waiting.askedAt : null,
    }
    row.timeoutMs = result.timeoutMs
    row.lists = result.lists
    if ((result.answered || result.discard) && open?.txnId === result.txnId) open = null
    return true
  }

  function moveStickyCursors(rows: StoredAcknowledges['sticky']): void {
    for (const { room, upto, cursor } of rows) {
      const found = owed.find((one) => one.room === room && one.upto === upto)
      if (found !== undefined) found.cursor = Math.max(found.cursor, cursor)
    }
  }

  function noteListed(positions: readonly number[]): void {
    for (const pos of positions) {
      const one = sticky.get(pos)
      if (one === undefined) continue
      const covered = owed.some(
        ({ room, cursor, upto }) =>
          pos > cursor && (room === null || (room === one.room && pos <= (upto ?? 0))),
      )
      const known = replays.get(pos)
      if (pos <= row.position && !covered && known === undefined) continue
      replays.set(pos, { state: 'sent', listedAt: head, tries: 0, nextAt: null })
    }
  }

  function noteUnlisted(positions: readonly number[], maxTries: number): void {
    for (const pos of positions) {
      const one = sticky.get(pos)
      if (one === undefined || one.expiresAt <= now) continue
      const known = replays.get(pos)
      // A rejoin since the last answer starts the doubling anew.
      const again = owed.some(
        ({ room, upto }) => room === one.room && pos <= (upto ?? 0) && (upto ?? 0) > (known?.listedAt ?? 0),
      )
      const tries = again && maxTries === Infinity ? 0 : (known?.tries ?? 0)
      if (tries > 0 && tries >= maxTries) {
        replays.set(pos, { state: 'sent', listedAt: head, tries: tries + 1, nextAt: null })
      } else {
        const nextAt = now + UNLISTED_WAIT_MS * 2 ** Math.min(tries, 20)
        replays.set(pos, { state: 'unlisted', listedAt: head, tries: tries + 1, nextAt })
      }
    }
  }

  return {
    append,
    wish,
    advise,
    timeline,
    gapRooms,
    owedSticky,
    unlisted,
    load,
    freeze,
    repeat,
    drop,
    openGap,
    growGap,
    moveGap,
    moveOn,
    dropDoneJoins,
    release,
    write,
    moveStickyCursors,
    noteListed,
    noteUnlisted,
    now: () => now,
    moveClock: (byMs: number) => {
      now += Math.round(byMs)
    },
    worker: () => worker,
    loseAcknowledgement: (position: number) => {
      row.position = position
    },
    newWorker: () => {
      worker += 1
      if (bugs.joinsDieWithWorker === true) owed = owed.filter(({ room }) => room === null)
    },
    view: () =>
      known
        ? {
            now,
            head,
            position: row.position,
            paused: row.paused,
            failures: row.waiting.failures,
            lookAt: row.lookAt,
            openTxn: open?.txnId ?? null,
            gaps: gaps.map(({ from, to, open: isOpen }) => ({ from, to, open: isOpen })),
          }
        : null,
  }
}
