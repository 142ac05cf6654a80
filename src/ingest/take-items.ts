/**
 * Takes a request's items in their order. Everything is staged and written together, a statement a table, purges last.
 *
 * What comes in a room after its purge is the exception: everything before it is written first. But if the purge is
 * the batch's first item of its room, what was there before the batch is forgotten at the batch's beginning, for all
 * such rooms at once.
 */
import type { Random } from '../pace/clock.ts'
import { adviseUp } from '../store/ingest/advice.ts'
import {
  notePurges,
  purgeRooms,
  readStoredText,
  redactEvents,
  type Redaction,
  type StoredEvent,
} from '../store/ingest/content.ts'
import type { Db } from '../store/db.ts'
import { eraseEvents } from '../store/ingest/erase.ts'
import { noEffects, writeEffects } from '../store/ingest/effects.ts'
import { hasSticky, type IngestState } from '../store/ingest/state.ts'
import { checkRedaction, type CheckedRedactions } from './check-redaction.ts'
import { stageEdu } from './edu/stage-edu.ts'
import { forgetRoom, stageErase, type Erasing } from './erase.ts'
import type { EraseItem, EventItem, Item, PurgeItem, RedactItem, ServersItem } from './items.ts'
import { accept, emptyReport, leaveOut, type ItemCounts, type IngestReport } from './report.ts'
import { stageEvent, stageServers, whyUnusable, type Stage } from './change.ts'

interface Purge {
  pos: number
  room: number
  /** Of its request. */
  counts: ItemCounts
}

export interface Taking {
  db: Db
  stage: Stage
  /** Ids of events that the batch redacts or erases. */
  named: ReadonlySet<string>
  /** Those of them that are held. */
  targets: Map<string, StoredEvent>
  checked: CheckedRedactions
  /** Not written yet. */
  redactions: Redaction[]
  purges: Purge[]
  erasing: Erasing
  /** Rooms that are to be forgotten with what has been staged of them: nothing more may be staged before. */
  going: Set<number>
  /** Rooms that were forgotten at the beginning, each with how many pairs that gave up, until their purge comes. */
  forgotten: Map<number, number>
  /** Rooms in which something was redacted or erased, and of which it was not asked since what is still sticky there. */
  lessSticky: Set<number>
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
    named: ReadonlySet<string>
    targets: Map<string, StoredEvent>
    checked: CheckedRedactions
    /** What `forgetFirst` returned. */
    forgotten: Map<number, number>
    /** What is stored of the senders that the batch erases. */
    stored: Erasing['of']
    /** Texts that are in their places already, by position. */
    written: Map<number, string>
    /** Destinations whose rows are locked; others were not failing, so they need no advice. */
    locked: ReadonlySet<number>
  },
): Taking {
  const { state, serverName, maxStickyMs, random, locked } = needs
  const { named, targets, checked, forgotten, stored, written } = needs
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
    ...{
      named,
      targets,
      checked,
      redactions: [],
      lessSticky: new Set(),
      purges: [],
      erasing: { of: stored, erasures: [] },
      going: new Set(),
      forgotten,
    },
    ...{ up, joined },
    flush: async () => {
      const { effects } = stage
      stage.effects = noEffects()
      for (const id of effects.joined) joined.add(id)
      await writeEffects(db, effects, state.now)
      await redactEvents(db, taking.redactions.splice(0), written)
      await writePurges(taking)
      // Last: what goes may have been written just now.
      await eraseEvents(db, taking.erasing.erasures.splice(0))
    },
    finish: async () => {
      await taking.flush()
      await advise(joined, false)
      await advise(up, true)
    },
  }
  return taking
}

export async function takeItems(taking: Taking, items: readonly Item[]): Promise<IngestReport> {
  const report = emptyReport()
  for (const [index, item] of items.entries()) {
    switch (item.type) {
      case 'event':
        await takeEvent(taking, item, index, report)
        break
      case 'servers':
        await takeServers(taking, item, index, report)
        break
      case 'redact':
        await takeRedact(taking, item, index, report)
        break
      case 'purge':
        takePurge(taking, item, index, report)
        break
      case 'erase':
        takeErase(taking, item, index, report)
        break
      case 'server_up':
        takeServerUp(taking, item.server, index, report)
        break
      case 'edu':
        stageEdu(taking.stage, item, index, report)
        break
    }
  }
  return report
}

async function takeRedact(
  taking: Taking,
  item: RedactItem,
  index: number,
  report: IngestReport,
): Promise<void> {
  const { db, stage, targets, redactions } = taking
  accept(report, 'redact')
  const pos = (stage.state.head += 1)
  const target = targets.get(item.eventId)
  if (target === undefined) {
    leaveOut(report, index, item.eventId, 'unknown')
    return
  }
  // It may be of this batch, and not be written yet.
  const storedPdu = async () =>
    stage.effects.events.find(({ pos }) => pos === target.pos)?.pdu ?? readStoredText(db, target.pos)
  await checkRedaction(item, index, { ...target, storedPdu }, taking.checked)
  redactions.push({ pos, target: target.pos, room: target.room, pdu: item.pdu })
  taking.lessSticky.add(target.room)
}

/** An event that a later item of the batch redacts or erases is not in the database yet. */
async function takeEvent(
  taking: Taking,
  item: EventItem,
  index: number,
  report: IngestReport,
): Promise<void> {
  const { stage, targets, named, erasing } = taking
  const { state } = stage
  await writeWhatGoes(taking, item.roomId)
  const ofErased = erasing.of.get(item.sender)
  const isNew = (named.has(item.eventId) || ofErased !== undefined) && !state.positions.has(item.eventId)
  stageEvent(stage, item, index, report)
  const { roomId } = item
  const [pos, room] = [state.positions.get(item.eventId), state.rooms.get(roomId)]
  if (!isNew || pos === undefined || room === undefined) return
  if (named.has(item.eventId))
    targets.set(item.eventId, { pos, room: room.id, roomId, roomVersion: room.version })
  ofErased?.push({ pos, room: room.id })
}

function takeErase(
  { stage, targets, erasing, lessSticky }: Taking,
  item: EraseItem,
  index: number,
  report: IngestReport,
): void {
  accept(report, 'erase')
  const { rooms, unknown } = stageErase(erasing, item, (stage.state.head += 1), targets)
  for (const value of unknown) leaveOut(report, index, value, 'unknown')
  for (const room of rooms) lessSticky.add(room)
}

/** Whether a join owes anything depends on what is still sticky in its room. */
async function takeServers(
  taking: Taking,
  item: ServersItem,
  index: number,
  report: IngestReport,
): Promise<void> {
  const { db, stage } = taking
  const { state } = stage
  await writeWhatGoes(taking, item.roomId)
  const room = state.rooms.get(item.roomId)?.id
  if (room !== undefined && taking.lessSticky.delete(room) && state.stickyRooms.has(item.roomId)) {
    await taking.flush()
    if (!(await hasSticky(db, room, state.now))) state.stickyRooms.delete(item.roomId)
  }
  stageServers(stage, item, index, report)
}

/** What comes after a purge is not forgotten by it. */
async function writeWhatGoes({ stage, going, flush }: Taking, roomId: string): Promise<void> {
  const room = stage.state.rooms.get(roomId)?.id
  if (room !== undefined && going.has(room)) await flush()
}

function takePurge(
  { stage, targets, purges, going, forgotten, lessSticky, erasing }: Taking,
  item: PurgeItem,
  index: number,
  report: IngestReport,
): void {
  accept(report, 'purge')
  const { state } = stage
  const pos = (state.head += 1)
  const room = state.rooms.get(item.roomId)
  if (room === undefined || room.isNew) {
    leaveOut(report, index, item.roomId, 'unknown')
    return
  }
  const { counts } = report
  purges.push({ pos, room: room.id, counts })
  const givenUp = forgotten.get(room.id)
  if (givenUp === undefined) going.add(room.id)
  else counts.purged += givenUp
  forgotten.delete(room.id)
  room.known = false
  state.members.get(item.roomId)?.clear()
  state.stickyRooms.delete(item.roomId)
  lessSticky.delete(room.id)
  for (const [eventId, target] of targets) if (target.room === room.id) targets.delete(eventId)
  forgetRoom(erasing, room.id)
}

async function writePurges({ db, purges, going }: Taking): Promise<void> {
  const some = purges.splice(0)
  const givenUp = await purgeRooms(db, [...going])
  going.clear()
  for (const { room, counts } of some) {
    counts.purged += givenUp.get(room) ?? 0
    givenUp.delete(room)
  }
  await notePurges(db, some)
}

function takeServerUp({ stage, up }: Taking, server: string, index: number, report: IngestReport): void {
  accept(report, 'server_up')
  const destination = stage.state.destinations.get(server)
  if (destination === undefined || destination.isNew)
    leaveOut(report, index, server, whyUnusable(stage, server) ?? 'unknown')
  else up.add(destination.id)
}
