/**
 * The one way in: stores items for good, then announces that there is something new.
 *
 * Requests that arrive during a commit share the next one. Each is all or nothing by itself, and its `if_source_token`
 * is checked under the stream's lock, so that a second instance of a producer, or a retry after a lost answer, changes
 * nothing. When `append` says 'taken', the items are durable.
 */
import type { Random } from '../pace/clock.ts'
import { makeBatcher } from '../pace/batcher.ts'
import { inTransaction, isUnavailable, type Pool } from '../store/db.ts'
import { loadIngestState, type IngestState } from '../store/ingest/state.ts'
import { findEvents, redactEarly } from '../store/ingest/content.ts'
import type { StoredAhead } from '../store/ingest/erase.ts'
import { findHolders, makeVoid } from '../store/ingest/holders.ts'
import { lockDestinations, type Concerned } from '../store/ingest/lock-destinations.ts'
import { lockContent, moveHead, waitToAppend } from '../store/stream.ts'
import { checkAhead, ItemRefused, textsOf, type CheckedRedactions } from './check-redaction.ts'
import { idsErased, lookAhead, sendersErased, storedNow } from './erase.ts'
import type { Item } from './items.ts'
import type { ItemCounts } from './report.ts'
import { makeKnownRooms } from './known-rooms.ts'
import { forgetFirst } from './forget-first.ts'
import { openTaking, takeItems } from './take-items.ts'
import { leavingBy, touchedBy, type TouchedItems } from './look-up.ts'
import { weightOf } from './weight.ts'

export interface IngestRequest {
  source: string
  /** The token to store; undefined or null: none given. */
  sourceToken: string | null | undefined
  /** Taken only if this is what is stored; undefined: not asked. */
  ifSourceToken: string | null | undefined
  items: Item[]
  /**
   * Taken only if each room whose servers the items go by (an event without `to`, an `add` or a `remove`, an EDU with `rooms`) is known at
   * that point of the stream: a list that its source believes to be told may have been purged meanwhile.
   */
  onlyKnownRooms?: boolean
}

export type AppendResult =
  | {
      kind: 'taken'
      position: number
      accepted: number
      duplicates: number
      ignored: { index: number; value: string }[]
      unknownRooms: string[]
    }
  | { kind: 'token_mismatch'; sourceToken: string | null }
  /** Nothing was taken (`onlyKnownRooms`). */
  | { kind: 'unknown_rooms'; rooms: string[] }
  | { kind: 'invalid'; index: number; path: string; message: string }
  | { kind: 'unavailable'; message: string }
  | { kind: 'full'; retryAfterMs: number }

export type Append = (request: IngestRequest) => Promise<AppendResult>

export interface AppendNeeds {
  pool: Pool
  serverName: string
  maxStickyMs: number
  random: Random
  /** Called after a commit that took something; must not throw. */
  onTaken: () => void
  /** Called with what a request did, for the metrics, after a commit that took something. */
  onItems?: (counts: ItemCounts) => void
}

/** Weight of one commit, and of what may wait for one before a request is told to come later. */
const MAX_BATCH = 2_000
const MAX_WAITING = 20_000
const RETRY_AFTER_MS = 1_000

export function makeAppend(needs: AppendNeeds): Append {
  const batcher = makeBatcher<ReadyRequest, AppendOutcome>({
    run: (requests) => takeBatch(needs, requests),
    maxWeight: MAX_BATCH,
    weigh: weightOf,
  })
  return async (request) => {
    // Awaited only where there is something to look up: those that come at once must see each other waiting.
    const looking = lookAhead(needs.pool, request.items)
    const stored = looking === null ? undefined : await looking
    if (batcher.waiting() > MAX_WAITING) return { kind: 'full', retryAfterMs: RETRY_AFTER_MS }
    const { result, counts } = await batcher.add({ ...request, stored })
    if (result.kind === 'taken' && result.accepted > 0) {
      if (counts !== undefined) needs.onItems?.(counts)
      needs.onTaken()
    }
    return result
  }
}

/** A request, and what was found ahead of the senders that it erases. */
type ReadyRequest = IngestRequest & { stored?: StoredAhead | undefined }

/** What is answered, and what is counted where something was taken. */
interface AppendOutcome {
  result: AppendResult
  counts?: ItemCounts
}

async function takeBatch(needs: AppendNeeds, requests: ReadyRequest[]): Promise<(AppendOutcome | Error)[]> {
  const checked: CheckedRedactions = new Map()
  for (let attempt = 1; ; attempt += 1) {
    try {
      await checkAhead(
        needs.pool,
        requests.flatMap(({ items }) => items),
        checked,
      )
      return await inTransaction(needs.pool, (db) => takeAll(needs, db, requests, checked))
    } catch (error) {
      if (isUnavailable(error)) {
        const message =
          'the database is unavailable; it is unknown whether the items were taken (ask /v1/ingest/position)'
        return requests.map(() => ({ result: { kind: 'unavailable', message } }))
      }
      if (isConflict(error) && attempt < 5) continue
      if (requests.length === 1) {
        if (!(error instanceof ItemRefused)) return [error as Error]
        const { index, path, message } = error
        return [{ result: { kind: 'invalid', index, path, message } }]
      }
      // One request's fault must not be another's: each goes by itself.
      const results: (AppendOutcome | Error)[] = []
      for (const request of requests) results.push(...(await takeBatch(needs, [request])))
      return results
    }
  }
}

/** 40P01 deadlock, 40001 serialization: the same work again may well succeed. */
function isConflict(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return code === '40P01' || code === '40001'
}

type LockingDb = Parameters<Parameters<typeof inTransaction>[1]>[0]

/**
 * Locks are taken in one order, which is that of deliveries: the stream, the content (as a freeze does before it
 * writes its destinations) where some of it goes, the rows of destinations by id, and only then what else is theirs.
 */
async function takeAll(
  needs: AppendNeeds,
  db: LockingDb,
  requests: ReadyRequest[],
  checked: CheckedRedactions,
): Promise<AppendOutcome[]> {
  const { serverName, maxStickyMs, random } = needs
  await waitToAppend(db)
  const items = requests.flatMap((request) => request.items)
  const touched = touchedBy(items, { serverName, sources: requests.map(({ source }) => source) })
  const state = await loadIngestState(db, touched)
  const before = state.head
  const goes = whatGoes(requests, state)
  // No other append runs now, so an event that is not stored is unknown, even if this batch redacts it.
  const named = [...goes.redacted, ...idsErased(goes.items)]
  const targets = await findEvents(db, named)
  const ahead = requests.flatMap(({ stored }) => (stored === undefined ? [] : [stored]))
  const stored = await storedNow(db, sendersErased(goes.items), before, ahead)
  const positions = [...targets.values(), ...[...stored.values()].flat()].map(({ pos }) => pos)
  const written = await redactEarly(db, textsOf(goes.items, targets, checked))
  const holders = await lockWhatGoes(db, { positions, rooms: goes.purged })
  const losing = [...holders, ...leaving(items, state)]
  const locked = await lockDestinations(db, concernedBy(touched, state, { ...goes, losing }))
  await makeVoid(db, holders)
  const forgotten = await forgetFirst(db, goes.items, { state, targets })
  const taking = openTaking(db, {
    state,
    serverName,
    maxStickyMs,
    random,
    locked,
    named: new Set(named),
    targets,
    checked,
    forgotten,
    stored,
    written,
  })
  const outcomes: AppendOutcome[] = []
  const tokens = new Map<string, string>()
  for (const request of requests) {
    const stored = state.tokens.get(request.source) ?? null
    if (request.ifSourceToken !== undefined && request.ifSourceToken !== stored) {
      outcomes.push({ result: { kind: 'token_mismatch', sourceToken: stored } })
      continue
    }
    const unknown = goes.refused.get(request)
    if (unknown !== undefined) {
      outcomes.push({ result: { kind: 'unknown_rooms', rooms: unknown } })
      continue
    }
    const { counts, unknownRooms, ...report } = await takeItems(taking, request.items)
    if (request.sourceToken !== undefined && request.sourceToken !== null) {
      state.tokens.set(request.source, request.sourceToken)
      tokens.set(request.source, request.sourceToken)
    }
    const position = state.head
    outcomes.push({
      result: { kind: 'taken', position, ...report, unknownRooms: [...unknownRooms] },
      counts,
    })
  }
  await taking.finish()
  if (state.head !== before || tokens.size > 0) await moveHead(db, state.head, { tokens, now: state.now })
  return outcomes
}

/** What is taken away by those requests that are taken, and which are refused for their rooms: these change nothing. */
function whatGoes(requests: readonly IngestRequest[], { tokens, rooms }: IngestState) {
  const now = new Map(tokens)
  const redacted = new Set<string>()
  const purged = new Set<number>()
  const taken: Item[] = []
  const refused = new Map<IngestRequest, string[]>()
  const known = makeKnownRooms(rooms)
  for (const request of requests) {
    const { source, sourceToken, ifSourceToken, items } = request
    if (ifSourceToken !== undefined && ifSourceToken !== (now.get(source) ?? null)) continue
    const unknown = known.follow(items, request.onlyKnownRooms === true)
    if (unknown.length > 0) {
      refused.set(request, unknown)
      continue
    }
    if (sourceToken !== undefined && sourceToken !== null) now.set(source, sourceToken)
    taken.push(...items)
    for (const item of items) {
      if (item.type === 'redact') redacted.add(item.eventId)
      const room = item.type === 'purge' ? rooms.get(item.roomId) : undefined
      if (room !== undefined && !room.isNew) purged.add(room.id)
    }
  }
  return { items: taken, redacted: [...redacted], purged: [...purged], refused }
}

/** Locks content if a text goes that a delivery may have read; returns the destinations whose open transactions hold it. */
async function lockWhatGoes(
  db: LockingDb,
  goes: { positions: number[]; rooms: number[] },
): Promise<number[]> {
  if (goes.positions.length + goes.rooms.length === 0) return []
  await lockContent(db)
  return findHolders(db, goes)
}

/** Destinations that are removed from a room in which they are. */
const leaving = (items: readonly Item[], { members, destinations }: IngestState): number[] =>
  leavingBy(items, members).flatMap((name) => {
    const one = destinations.get(name)
    return one === undefined || one.isNew ? [] : [one.id]
  })

/** New rooms and destinations have no rows to lock. */
function concernedBy(
  { advised, wholeRooms, serverRooms }: TouchedItems,
  { rooms, destinations }: IngestState,
  { purged, losing }: Pick<Concerned, 'purged' | 'losing'>,
): Concerned {
  const known = <T extends { id: number; isNew: boolean }>(all: ReadonlyMap<string, T>, names: string[]) =>
    names.flatMap((name) => {
      const one = all.get(name)
      return one === undefined || one.isNew ? [] : [one.id]
    })
  return {
    advised: known(destinations, advised),
    rooms: [...known(rooms, [...wholeRooms, ...serverRooms]), ...purged],
    purged,
    losing,
  }
}
