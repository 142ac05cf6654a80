/**
 * Takes a request's items in their order: events and servers are staged and written together, a `redact`
 * or `purge` first has everything before it written and then acts on the tables itself.
 */
import type { Random } from '../clock.ts'
import { adviseUp } from '../store/advice.ts'
import { findEvent, purgeRoom, readStoredText, redactEvent } from '../store/content.ts'
import type { Db } from '../store/db.ts'
import { noEffects, writeEffects } from '../store/ingest-effects.ts'
import { hasSticky, type IngestState } from '../store/ingest-state.ts'
import { faultOfRedaction } from './check-redaction.ts'
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
  const fault = await faultOfRedaction(item, { ...target, storedPdu: () => readStoredText(db, target.pos) })
  if (fault !== null) throw new ItemRefused(index, fault.path, fault.message)
  await redactEvent(db, { pos, target: target.pos, room: target.room, pdu: item.pdu })
  if (!(await hasSticky(db, target.room, stage.state.now))) stage.state.stickyRooms.delete(target.roomId)
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
