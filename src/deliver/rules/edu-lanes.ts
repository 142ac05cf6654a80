/** One lane of EDUs while a transaction is put together: what of it goes one day, what never, and how far a transaction takes it. */
import type { StoredEdu } from '../../store/delivery/edus.ts'
import { coalesce, type PendingEdu } from './coalesce.ts'
import type { EduLane, EdusToPlan, Prefix } from './edus-to-plan.ts'

export type EduWithText = StoredEdu & { readonly content: string }

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
  const on: PendingEdu[] = []
  for (const edu of lane.edus) {
    if (outageTo !== null) why.set(edu.pos, 'outage')
    else if (off.has(edu.eduType)) why.set(edu.pos, 'switched off')
    else on.push(edu.eduType === 'm.device_list_update' ? { ...edu, deviceListOf: edu.who } : edu)
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
    waitingSince(cursor) {
      let since = Infinity
      for (const { pos, receivedTs } of lane.edus) {
        const reason = pos <= cursor ? why.get(pos) : 'expired'
        if (reason === undefined || reason === 'replaced') since = Math.min(since, receivedTs)
      }
      return since
    },
  }
}

/** What goes is given to `join` until it says no. What has a transaction of its own, or was not read, ends it too. */
export function prefixOf(
  { lane, why, end }: SortedLane,
  join: (part: EduWithText, isFirst: boolean) => boolean,
): Prefix {
  const parts: StoredEdu[] = []
  let cursor = lane.cursor
  for (const edu of lane.edus) {
    if (!why.has(edu.pos)) {
      if (edu.alone || !hasContent(edu) || !join(edu, parts.length === 0))
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
export function firstToGo({ lane, why }: SortedLane): EduWithText | null {
  const first = lane.edus.find(({ pos }) => !why.has(pos))
  return first !== undefined && hasContent(first) ? first : null
}

/** It was read. Said of the object itself, as what is read of it is remembered (`matrix/edus/pack.ts`). */
export const hasContent = <T extends { readonly content: string | null }>(
  edu: T,
): edu is T & { readonly content: string } => edu.content !== null
