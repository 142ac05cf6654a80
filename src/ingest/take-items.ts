/**
 * Takes a request's items in their order: events and servers are staged and written together, a `redact`
 * or `purge` first has everything before it written and then acts on the tables itself.
 */
import type { Random } from '../clock.ts'
import { checkEventId } from '../matrix/event-id.ts'
import { adviseUp } from '../store/advice.ts'
import { findEvent, purgeRoom, redactEvent } from '../store/content.ts'
import type { Db } from '../store/db.ts'
import { noEffects, writeEffects } from '../store/ingest-effects.ts'
import type { IngestState } from '../store/ingest-state.ts'
import type { Item } from './items.ts'
import { emptyReport, stageEvent, stageServers, type Report, type Stage } from './stage.ts'

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
  /** Destinations that `server_up` items named. */
  up: Set<number>
  /** Writes what has been staged so far. */
  flush: () => Promise<void>
}

export function openTaking(
  db: Db,
  needs: { state: IngestState; serverName: string; maxStickyMs: number; random: Random },
): Taking {
  const { state, serverName, maxStickyMs, random } = needs
  const stage: Stage = { state, effects: noEffects(), serverName, maxStickyMs }
  const up = new Set<number>()
  return {
    db,
    stage,
    up,
    flush: async () => {
      const { effects } = stage
      stage.effects = noEffects()
      await writeEffects(db, effects, state.now)
      await adviseUp(db, [...effects.joined].sort(ascending), { random, up: false })
      await adviseUp(db, [...up].sort(ascending), { random, up: true })
      up.clear()
    },
  }
}

const ascending = (a: number, b: number) => a - b

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
  item: Extract<Item, { type: 'redact' }>,
  index: number,
  report: Report,
): Promise<void> {
  await flush()
  report.accepted += 1
  const pos = (stage.state.head += 1)
  const target = await findEvent(db, item.eventId)
  if (target === null) {
    report.ignored.push({ index, value: item.eventId })
    return
  }
  if (target.roomVersion !== null) {
    const check = checkEventId({ pdu: item.pdu, roomVersion: target.roomVersion, eventId: item.eventId })
    if (check.kind === 'mismatch') {
      throw new ItemRefused(
        index,
        'pdu',
        `the redacted form has the event id ${check.expected}, not ${item.eventId}`,
      )
    }
  }
  await redactEvent(db, { pos, target: target.pos, room: target.room, pdu: item.pdu })
}

async function takePurge(
  { db, stage, flush }: Taking,
  item: Extract<Item, { type: 'purge' }>,
  index: number,
  report: Report,
): Promise<void> {
  await flush()
  report.accepted += 1
  const { state } = stage
  const pos = (state.head += 1)
  const room = state.rooms.get(item.roomId)
  if (room === undefined || room.isNew) {
    report.ignored.push({ index, value: item.roomId })
    return
  }
  await purgeRoom(db, { pos, room: room.id })
  room.known = false
  state.members.get(item.roomId)?.clear()
  state.stickyRooms.delete(item.roomId)
}

function takeServerUp({ stage, up }: Taking, server: string, index: number, report: Report): void {
  report.accepted += 1
  const destination = stage.state.destinations.get(server)
  if (destination === undefined || destination.isNew) report.ignored.push({ index, value: server })
  else up.add(destination.id)
}
