/**
 * Takes a request's items in their order: events and servers are staged and written together, a `redact`
 * or `purge` first has everything before it written and then acts on the tables itself.
 */
import type { Random } from '../clock.ts'
import { canonicalText } from '../matrix/canonical-json.ts'
import { belongsToRoom, checkEventId } from '../matrix/event-id.ts'
import { JsonError, isJsonObject, type JsonObject } from '../matrix/json-value.ts'
import { redact } from '../matrix/redaction.ts'
import { roomVersion as rulesOf, type RoomVersion } from '../matrix/room-versions.ts'
import { adviseUp } from '../store/advice.ts'
import { findEvent, purgeRoom, redactEvent, type StoredEvent } from '../store/content.ts'
import type { Db } from '../store/db.ts'
import { noEffects, writeEffects } from '../store/ingest-effects.ts'
import { hasSticky, type IngestState } from '../store/ingest-state.ts'
import type { Item, RedactItem } from './items.ts'
import { accept, emptyReport, leaveOut, type Report } from './report.ts'
import { stageEvent, stageServers, whyUnusable, type Stage } from './stage.ts'

/** An item that only the database could show to be wrong: nothing of its request is taken. */
export class ItemRefused extends Error {
  readonly code = 'ITEM_REFUSED'
  readonly index: number
  readonly path: string
  constructor(index: number, path: string, message: string) {
    super(message)
    this.index = index
    this.path = path
  }
}

export interface Taking {
  db: Db
  stage: Stage
  /** Destinations that `server_up` items named, and those that joined: failing ones are tried again soon. */
  up: Set<number>
  joined: Set<number>
  /** Writes what has been staged so far. */
  flush: () => Promise<void>
  /** Writes the rest; the last thing to be called. */
  finish: () => Promise<void>
}

export function openTaking(
  db: Db,
  needs: {
    state: IngestState
    serverName: string
    maxStickyMs: number
    random: Random
    /** Destinations whose rows are locked; others were not failing, so they need no advice. */
    locked: ReadonlySet<number>
  },
): Taking {
  const { state, serverName, maxStickyMs, random, locked } = needs
  const stage: Stage = { state, effects: noEffects(), serverName, maxStickyMs }
  const up = new Set<number>()
  const joined = new Set<number>()
  const advise = (ids: ReadonlySet<number>, up: boolean) =>
    adviseUp(
      db,
      [...ids].filter((id) => locked.has(id)),
      { random, up },
    )
  const taking: Taking = {
    db,
    stage,
    up,
    joined,
    flush: async () => {
      const { effects } = stage
      stage.effects = noEffects()
      for (const id of effects.joined) joined.add(id)
      await writeEffects(db, effects, state.now)
    },
    finish: async () => {
      await taking.flush()
      await advise(joined, false)
      await advise(up, true)
    },
  }
  return taking
}

export async function takeItems(taking: Taking, items: readonly Item[]): Promise<Report> {
  const report = emptyReport()
  for (const [index, item] of items.entries()) {
    switch (item.type) {
      case 'event':
        stageEvent(taking.stage, item, index, report)
        break
      case 'servers':
        stageServers(taking.stage, item, index, report)
        break
      case 'redact':
        await takeRedact(taking, item, index, report)
        break
      case 'purge':
        await takePurge(taking, item, index, report)
        break
      case 'server_up':
        takeServerUp(taking, item.server, index, report)
        break
    }
  }
  return report
}

async function takeRedact(
  { db, stage, flush }: Taking,
  item: RedactItem,
  index: number,
  report: Report,
): Promise<void> {
  await flush()
  accept(report, 'redact')
  const pos = (stage.state.head += 1)
  const target = await findEvent(db, item.eventId)
  if (target === null) {
    leaveOut(report, index, item.eventId, 'unknown')
    return
  }
  checkRedaction(item, index, target)
  await redactEvent(db, { pos, target: target.pos, room: target.room, pdu: item.pdu })
  if (!(await hasSticky(db, target.room, stage.state.now))) stage.state.stickyRooms.delete(target.roomId)
}

/** The redacted form must be one, of this event, and hold only numbers that its room version allows. */
function checkRedaction(item: RedactItem, index: number, { roomId, roomVersion }: StoredEvent): void {
  if (roomVersion === null) return
  const { eventId, parsed: pdu } = item
  const check = checkEventId({ pdu, roomVersion, eventId })
  if (check.kind === 'mismatch') {
    const has = check.expected === null ? 'no event id' : `the event id ${check.expected}`
    throw new ItemRefused(index, 'pdu', `the redacted form has ${has}, not ${eventId}`)
  }
  // Ids of room versions 1 and 2 say nothing about what they name.
  if (check.kind === 'ok' && !belongsToRoom({ pdu, roomVersion, eventId, roomId })) {
    throw new ItemRefused(index, 'pdu.room_id', `the redacted form is not of ${roomId}`)
  }
  const rules = rulesOf(roomVersion)
  const left = rules === null ? [] : beyondRedaction(pdu, rules)
  if (left.length > 0) {
    // Taken, it would leave in place, and send on, what was to be taken away: nobody would see the producer's mistake.
    const what = left.slice(0, 5).join(', ').slice(0, 200)
    throw new ItemRefused(
      index,
      'pdu',
      `this is not the redacted form: a redaction in room version ${roomVersion} takes away ${what}`,
    )
  }
  try {
    canonicalText(pdu, { oddNumbers: rules?.oddNumbers ?? 'keep' })
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    throw new ItemRefused(index, `pdu.${error.path}`, `the redacted form has ${error.message}`)
  }
}

/** What stands in `pdu` that a redaction would have taken or made otherwise; `unsigned` is nobody's content. */
function beyondRedaction(pdu: JsonObject, rules: RoomVersion): string[] {
  const form = redact(pdu, rules)
  const differing = (given: JsonObject, kept: JsonObject) =>
    Object.keys(given).filter((key) => !Object.hasOwn(kept, key) || !isSame(given[key], kept[key]))
  const keys = differing(pdu, form).filter((key) => key !== 'unsigned')
  const { content } = pdu
  return keys.flatMap((key) =>
    key === 'content' && isJsonObject(content) && isJsonObject(form['content'])
      ? differing(content, form['content']).map((inner) => `content.${inner}`)
      : [key],
  )
}

function isSame(one: JsonObject[string] | undefined, other: JsonObject[string] | undefined): boolean {
  const textOf = (value: JsonObject[string] | undefined) =>
    canonicalText({ value: value ?? null }, { oddNumbers: 'keep' })
  return one === other || textOf(one) === textOf(other)
}

async function takePurge(
  { db, stage, flush }: Taking,
  item: Extract<Item, { type: 'purge' }>,
  index: number,
  report: Report,
): Promise<void> {
  await flush()
  accept(report, 'purge')
  const { state } = stage
  const pos = (state.head += 1)
  const room = state.rooms.get(item.roomId)
  if (room === undefined || room.isNew) {
    leaveOut(report, index, item.roomId, 'unknown')
    return
  }
  report.counts.purged += await purgeRoom(db, { pos, room: room.id })
  room.known = false
  state.members.get(item.roomId)?.clear()
  state.stickyRooms.delete(item.roomId)
}

function takeServerUp({ stage, up }: Taking, server: string, index: number, report: Report): void {
  accept(report, 'server_up')
  const destination = stage.state.destinations.get(server)
  if (destination === undefined || destination.isNew)
    leaveOut(report, index, server, whyUnusable(stage, server) ?? 'unknown')
  else up.add(destination.id)
}
