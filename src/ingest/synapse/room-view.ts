/**
 * Who is in one room, counted in joined users by server: now (at our place in Synapse's stream, as limpet was told),
 * and in the state at the event that was looked at last. Pure.
 *
 * Both are moved by differences. So is the set of servers that are in one and not in the other, which is nearly always
 * empty: finding an event's recipients costs nothing that grows with the room. It contains remote servers only.
 */
export interface RoomView {
  readonly servers: Map<string, UserCounts>
  /** Servers that are in the room in one of the two and not in the other. */
  readonly differing: Set<string>
  /** The state group that `at` was counted in; null: none yet. */
  group: number | null
  /** Whether limpet was told this room's servers as a whole. */
  told: boolean
  /** The servers that were in the room when ours joined it, while its state is partial: they count as in it. Null: whole. */
  readonly partial: ReadonlySet<string> | null
  /**
   * Servers that are not in the room at our place, but in Synapse's state by now: a change further on brings them. limpet
   * may know them already, since the servers of a partial state count before their members are known.
   */
  coming: ReadonlySet<string>
}

export interface UserCounts {
  now: number
  at: number
}

/** A server's joined users of one room, before and after. */
export interface CountChange {
  readonly server: string
  readonly by: number
}

export function makeRoomView(
  joined: ReadonlyMap<string, number>,
  partial: readonly string[] | null = null,
): RoomView {
  const view: RoomView = {
    servers: new Map(),
    differing: new Set(),
    group: null,
    told: false,
    partial: partial === null ? null : new Set(partial),
    coming: new Set(),
  }
  for (const [server, users] of joined) bump(view, 'now', { server, by: users })
  // While the state is partial nothing is known of who is missing in it.
  if (partial === null) view.coming = new Set([...joined.keys()].filter((name) => !isIn(view, 'now', name)))
  return view
}

/** Changes a count; returns by how much, since no count goes below 0. */
export function bump(view: RoomView, side: keyof UserCounts, { server, by }: CountChange): number {
  const counts = view.servers.get(server) ?? { now: 0, at: 0 }
  const was = counts[side]
  counts[side] = Math.max(0, was + by)
  if (counts.now === 0 && counts.at === 0) view.servers.delete(server)
  else view.servers.set(server, counts)
  if (counts.now > 0 === counts.at > 0) view.differing.delete(server)
  else view.differing.add(server)
  return counts[side] - was
}

export function isIn(view: RoomView, side: keyof UserCounts, server: string): boolean {
  return (view.servers.get(server)?.[side] ?? 0) > 0
}

/** Whether a server counts as in the room now. */
export function countsNow(view: RoomView, server: string): boolean {
  return isIn(view, 'now', server) || view.partial?.has(server) === true
}

/** The servers that count as in the room now. */
export function serversNow(view: RoomView): string[] {
  const joined = [...view.servers.keys()].filter((server) => isIn(view, 'now', server))
  return view.partial === null ? joined : [...new Set([...joined, ...view.partial])]
}

/** Puts the counts of a whole state in the place of those at the event. */
export function replaceAt(view: RoomView, group: number, joined: ReadonlyMap<string, number>): void {
  for (const [server, { at }] of [...view.servers]) if (at > 0) bump(view, 'at', { server, by: -at })
  for (const [server, users] of joined) bump(view, 'at', { server, by: users })
  view.group = group
}
