/** One lane of EDUs while a transaction is put together: what of it goes one day, what never, and how far a transaction takes it. */
import type { StoredEdu } from '../../store/delivery/edus.ts'
import { coalesce } from './coalesce.ts'
import type { EduLane, EdusToPlan, Prefix } from './edus-to-plan.ts'

export type WhyLeftOut = 'expired' | 'replaced' | 'collapsed' | 'switched off' | 'outage'

export interface LeftOutEdus {
  readonly eduType: string
  readonly why: WhyLeftOut
  readonly count: number
}

export interface SortedLane {
  readonly lane: EduLane
  /** The cursor where all that was read is done with. */
  readonly end: number
  readonly why: ReadonlyMap<number, WhyLeftOut>
  /** Each type and reason once, in the order of positions. */
  leftOutUpTo(cursor: number): LeftOutEdus[]
  /** When the first of those came that are not over, whether they are replaced or not. */
  waitingSince(cursor: number): number
}

/** `outageTo`: everything is left out, and the cursor goes there. */
export function sortOut(
  lane: EduLane,
  { now, off }: Pick<EdusToPlan, 'now' | 'off'>,
  outageTo: number | null = null,
): SortedLane {
  const why = new Map<number, WhyLeftOut>()
  const on: (StoredEdu & { deviceListOf: string | null })[] = []
  for (const edu of lane.edus) {
    if (outageTo !== null) why.set(edu.pos, 'outage')
    else if (off.has(edu.eduType)) why.set(edu.pos, 'switched off')
    else on.push({ ...edu, deviceListOf: edu.eduType === 'm.device_list_update' ? edu.who : null })
  }
  for (const { edu, why: reason } of coalesce(on, now).dropped) why.set(edu.pos, reason)
  const upTo = (cursor: number) => lane.edus.filter(({ pos }) => pos <= cursor)
  return {
    lane,
    end: Math.max(lane.cursor, lane.upto, outageTo ?? 0),
    why,
    leftOutUpTo(cursor) {
      const found = new Map<string, LeftOutEdus>()
      for (const { pos, eduType } of upTo(cursor)) {
        const reason = why.get(pos)
        if (reason === undefined) continue
        const name = JSON.stringify([eduType, reason])
        found.set(name, { eduType, why: reason, count: (found.get(name)?.count ?? 0) + 1 })
      }
      return [...found.values()]
    },
    waitingSince: (cursor) =>
      Math.min(
        ...upTo(cursor).flatMap(({ pos, receivedTs }) => {
          const reason = why.get(pos)
          return reason === undefined || reason === 'replaced' ? [receivedTs] : []
        }),
      ),
  }
}

/** What goes is given to `join` until it says no. What has a transaction of its own, or was not read, ends it too. */
export function prefixOf(
  { lane, why, end }: SortedLane,
  join: (part: StoredEdu & { content: string }, isFirst: boolean) => boolean,
): Prefix {
  const parts: StoredEdu[] = []
  let cursor = lane.cursor
  for (const edu of lane.edus) {
    if (!why.has(edu.pos)) {
      const { content } = edu
      if (edu.alone || content === null || !join({ ...edu, content }, parts.length === 0))
        return { parts, cursor, stopped: true }
      parts.push(edu)
    }
    cursor = Math.max(cursor, edu.pos)
  }
  return { parts, cursor: end, stopped: false }
}

/** Up to the first that goes. */
export const nothingOf = (lane: SortedLane): Prefix => prefixOf(lane, () => false)

/** The first that goes one day, where it was read. */
export function firstToGo({ lane, why }: SortedLane): (StoredEdu & { content: string }) | null {
  const first = lane.edus.find(({ pos }) => !why.has(pos))
  if (first === undefined || first.content === null) return null
  return { ...first, content: first.content }
}
