/**
 * Puts a window's events and membership changes into the order in which limpet's stream takes them. Pure.
 *
 * Promises: a room's servers are told before its first event (whole list, as of the window's start); an event
 * comes before the change that its own position brings, so the event that ends a server's membership still
 * reaches that server; a server is added with its first joined user and removed with its last.
 */
import type { Joined } from './room-servers.ts'
import type { EventRow, MemberChange, Window } from './window.ts'

export type Step =
  | { readonly kind: 'event'; readonly row: EventRow }
  | { readonly kind: 'set'; readonly roomId: string; readonly servers: readonly string[] }
  | {
      readonly kind: 'change'
      readonly roomId: string
      readonly add: readonly string[]
      readonly remove: readonly string[]
    }

export interface OrderNeeds {
  readonly window: Pick<Window, 'events' | 'changes'>
  /** Joined users by room and server, at the window's start. Changed here to those at its end. */
  readonly joined: ReadonlyMap<string, Joined>
  /** Servers of rooms with partial state: there, nobody is known to have left. */
  readonly partial: ReadonlyMap<string, readonly string[]>
  /** Rooms whose servers are told as a whole first. */
  readonly fresh: ReadonlySet<string>
}

export function orderSteps({ window, joined, partial, fresh }: OrderNeeds): Step[] {
  const steps: Step[] = []
  for (const roomId of fresh) {
    const servers = new Set([...(joined.get(roomId)?.keys() ?? []), ...(partial.get(roomId) ?? [])])
    steps.push({ kind: 'set', roomId, servers: [...servers].sort() })
  }
  let next = 0
  const changesBefore = (end: number) => {
    for (;;) {
      const first = window.changes[next]
      if (first === undefined || first.at >= end) return
      const start = next
      while (isTogether(first, window.changes[next])) next += 1
      const users: Joined = joined.get(first.room_id) ?? new Map<string, number>()
      const isPartial = partial.has(first.room_id)
      steps.push(...netChange(window.changes.slice(start, next), users, isPartial))
    }
  }
  for (const row of window.events) {
    changesBefore(row.at)
    steps.push({ kind: 'event', row })
  }
  changesBefore(Infinity)
  return steps
}

function isTogether(first: MemberChange, other: MemberChange | undefined): boolean {
  return other?.at === first.at && other.room_id === first.room_id
}

/** What several users' changes in one room at one position come to for their servers. */
function netChange(changes: readonly MemberChange[], users: Joined, isPartial: boolean): Step[] {
  const before = new Set(users.keys())
  for (const { server, joined } of changes) {
    const count = (users.get(server) ?? 0) + (joined ? 1 : -1)
    if (count > 0) users.set(server, count)
    else users.delete(server)
  }
  const add = [...users.keys()].filter((server) => !before.has(server))
  const remove = isPartial ? [] : [...before].filter((server) => !users.has(server))
  const roomId = changes[0]?.room_id
  if (roomId === undefined || add.length + remove.length === 0) return []
  return [{ kind: 'change', roomId, add, remove }]
}
