/**
 * An EDU at its point of the stream: who gets it, from when until when, and under which positions. Pure, as `change.ts` is.
 *
 * Each part takes a position of its own, in their order. Rooms are those that are known at this point: they stand for the servers that are in them
 * at these positions. An item of which nothing is left, or that is for nobody, is accepted, takes no position, and makes nobody known.
 */
import { createHash } from 'node:crypto'
import type { EduAudience } from '../../store/ingest/edus.ts'
import { useDestination, useList, whyUnusable, type Stage } from '../change.ts'
import type { EduItem } from '../items.ts'
import { accept, leaveOut, type IgnoredWhy, type IngestReport } from '../report.ts'

export function stageEdu(stage: Stage, item: EduItem, index: number, report: IngestReport): void {
  const { state, effects } = stage
  for (const { value, why } of item.ignored) leaveOut(report, index, value, why)
  accept(report, 'edu')
  const { audience } = item
  const to =
    'rooms' in audience
      ? toRooms(stage, item, audience.rooms, report)
      : toServers(stage, item, audience.destinations, (name, why) => {
          leaveOut(report, index, name, why)
        })
  if (to === null) return
  for (const part of item.parts)
    effects.edus.rows.push({
      pos: (state.head += 1),
      type: item.eduType,
      content: part.content,
      expiresAt: part.ttlMs === null ? null : state.now + part.ttlMs,
      durable: part.durable,
      alone: part.alone,
      key: part.key === null ? null : eduKey(item.eduType, part.key),
      who: part.deviceListOf ?? part.messageId ?? null,
      to,
    })
}

/** Null: none of them is known, or there is nothing to be sent. */
function toRooms(
  { state, effects }: Stage,
  { parts }: EduItem,
  rooms: readonly string[],
  report: IngestReport,
): EduAudience | null {
  const ids: number[] = []
  for (const roomId of rooms) {
    const room = state.rooms.get(roomId)
    if (room?.known === true) ids.push(room.id)
    else report.unknownRooms.add(roomId)
  }
  const [first] = ids
  if (first === undefined || parts.length === 0) return null
  if (ids.length === 1) return { room: first }
  ids.sort((a, b) => a - b)
  const hash = createHash('sha256').update(JSON.stringify(ids)).digest('base64url')
  effects.edus.roomSets.set(hash, ids)
  return { rooms: hash }
}

/** Null: none of them can be a destination, or there is nothing to be sent. */
function toServers(
  stage: Stage,
  { parts }: EduItem,
  names: readonly string[],
  ignore: (name: string, why: IgnoredWhy) => void,
): EduAudience | null {
  const first = stage.state.head + 1
  const ids: number[] = []
  for (const name of names) {
    const why = whyUnusable(stage, name)
    if (why !== null) ignore(name, why)
    const id = parts.length === 0 ? null : useDestination(stage, name, first)
    if (id !== null) ids.push(id)
  }
  if (ids.length === 0) return null
  const durable = parts.findLastIndex((part) => part.durable)
  const other = parts.findLastIndex((part) => !part.durable)
  const heads = {
    ...(durable >= 0 && { durableHead: first + durable }),
    ...(other >= 0 && { eduHead: first + other }),
  }
  const list = ids.sort((a, b) => a - b)
  return { recipients: useList(stage.effects, { exact: true, list, less: [] }, heads) }
}

/** What replaces what is asked by this: 16 bytes in place of a type and up to 512 bytes. As a uuid, of no version. */
export function eduKey(type: string, key: string): string {
  const hex = createHash('sha256')
    .update(JSON.stringify([type, key]))
    .digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}
