/**
 * The requests that processes with the role `ingest` have under way: which of them a commit took, by the reference model's word, and
 * which it had to leave since they go by the servers of a room that is not known (`onlyKnownRooms`).
 */
import type { ModelItem } from './driver.ts'
import type { Process } from './process.ts'
import { violated } from './watch.ts'

export interface Request {
  readonly items: readonly ModelItem[]
  /** Its source has told the rooms that it speaks of, and goes by that. */
  readonly onlyKnownRooms: boolean
}

export type Requests = ReturnType<typeof makeRequests>

/** Rooms whose servers the items go by before they tell them. */
export function unknownAmong(items: readonly ModelItem[], isKnown: (room: number) => boolean): number[] {
  const told = new Map<number, boolean>()
  const unknown = new Set<number>()
  for (const item of items) {
    if (item.type === 'redact' || item.type === 'erase' || item.type === 'edu') continue
    const goesByThem = item.type === 'servers' || (item.type === 'event' && item.to === null)
    if (goesByThem && !(told.get(item.room) ?? isKnown(item.room))) unknown.add(item.room)
    if (item.type !== 'event') told.set(item.room, item.type !== 'purge')
  }
  return [...unknown]
}

export function makeRequests({ isKnown }: { isKnown: (room: number) => boolean }) {
  const underWay = new Map<Process, Request[]>()
  /** The newest one of a process, where it was refused. */
  const refused = new Map<Process, Request>()
  const of = (process: Process) => underWay.get(process) ?? []

  return {
    begin(process: Process, request: Request): void {
      refused.delete(process)
      underWay.set(process, [...of(process), request])
    },
    /** Nothing of it was taken. */
    end(process: Process, request: Request): void {
      underWay.set(
        process,
        of(process).filter((one) => one !== request),
      )
    },
    /** It was answered that the rooms it goes by are not known. */
    refuse(process: Process, request: Request): void {
      if (unknownAmong(request.items, () => false).length === 0)
        violated(
          'a room that is told is known',
          'a request is refused though it tells the rooms that it goes by',
        )
      refused.set(process, request)
    },
    refusedOf: (process: Process): Request | null => refused.get(process) ?? null,
    forget(process: Process): void {
      underWay.delete(process)
      refused.delete(process)
    },
    /**
     * A commit took so many positions; each item is told to `each`, in their order, which returns how many of these are its own. Requests that come
     * during a commit share the next one.
     */
    taken(process: Process, count: number, each: (item: ModelItem) => number): number {
      let taken = 0
      for (let [request] = of(process); taken < count && request !== undefined; [request] = of(process)) {
        this.end(process, request)
        const { items, onlyKnownRooms } = request
        if (onlyKnownRooms && unknownAmong(items, isKnown).length > 0) continue
        for (const item of items) taken += each(item)
      }
      if (taken < count)
        violated(
          'a list that is not known is told again',
          `${count - taken} items are taken that go by the servers of a room that is not known`,
        )
      return taken
    },
  }
}
