/** What a client knows from its homeserver's `/sync`, kept from look to look. */

type Json = Record<string, unknown>

/** An event as `/sync` shows it to a client. */
export interface ClientEvent {
  readonly event_id: string
  readonly type: string
  readonly sender: string
  readonly content: Json
  readonly state_key?: string
  readonly msc4354_sticky?: { readonly duration_ms: number }
}

export interface View {
  /**
   * Every event of the room that `/sync` has shown to this client up to now, timeline, state and sticky ones; waits
   * up to `waitMs` milliseconds for news.
   */
  look(roomId: string, waitMs?: number): Promise<ClientEvent[]>
  /** Looks until the event is there. @throws when it is not after `deadlineMs` milliseconds. */
  see(roomId: string, eventId: string, deadlineMs?: number): Promise<ClientEvent>
  /** The same for several. @throws saying which are missing */
  seeAll(roomId: string, eventIds: readonly string[], deadlineMs?: number): Promise<ClientEvent[]>
  /** Looks until this user's own membership is `standing`. */
  seeStanding(roomId: string, standing: Standing, deadlineMs?: number): Promise<void>
}

export type Standing = 'join' | 'invite' | 'leave'

interface SyncRoom {
  timeline?: { events: ClientEvent[] }
  state?: { events: ClientEvent[] }
  msc4354_sticky?: { events: ClientEvent[] }
}
interface SyncAnswer {
  next_batch: string
  rooms?: { [standing in Standing]?: Record<string, SyncRoom> }
}

/** Long enough for a machine that does much else. What comes, comes in a hundredth of it. */
const DEADLINE_MS = 90_000
const STANDINGS: readonly Standing[] = ['join', 'invite', 'leave']
const FILTER = JSON.stringify({ room: { timeline: { limit: 1000 } }, presence: { limit: 0 } })

export function makeView(get: <T>(path: string) => Promise<T>, userId: string): View {
  const seen = new Map<string, Map<string, ClientEvent>>()
  const standings = new Map<string, Standing>()
  let since: string | undefined

  async function sync(waitMs: number): Promise<void> {
    const query = new URLSearchParams({ timeout: String(waitMs), filter: FILTER })
    if (since !== undefined) query.set('since', since)
    const answer = await get<SyncAnswer>(`/sync?${query.toString()}`)
    since = answer.next_batch
    for (const standing of STANDINGS)
      for (const roomId of Object.keys(answer.rooms?.[standing] ?? {})) standings.set(roomId, standing)
    for (const [roomId, { timeline, state, msc4354_sticky: sticky }] of Object.entries(
      answer.rooms?.join ?? {},
    )) {
      const events = seen.get(roomId) ?? new Map<string, ClientEvent>()
      seen.set(roomId, events)
      for (const part of [state, timeline, sticky])
        for (const e of part?.events ?? []) events.set(e.event_id, e)
    }
  }

  async function look(roomId: string, waitMs = 0): Promise<ClientEvent[]> {
    await sync(waitMs)
    return [...(seen.get(roomId)?.values() ?? [])]
  }

  async function lookUntil<T>(give: () => T | null, missing: () => string, deadlineMs: number): Promise<T> {
    const end = performance.now() + deadlineMs
    for (;;) {
      const found = give()
      if (found !== null) return found
      if (performance.now() > end) {
        throw new Error(`${userId} did not see ${missing()} within ${deadlineMs / 1000} s`)
      }
      await sync(250)
    }
  }

  async function seeAll(roomId: string, eventIds: readonly string[], deadlineMs = DEADLINE_MS) {
    const missing = () => eventIds.filter((eventId) => seen.get(roomId)?.has(eventId) !== true)
    const give = () =>
      missing().length > 0 ? null : eventIds.flatMap((id) => seen.get(roomId)?.get(id) ?? [])
    const what = () =>
      `${missing().length} of ${eventIds.length} events (${missing().slice(0, 3).join(', ')})`
    return lookUntil(give, what, deadlineMs)
  }

  return {
    look,
    seeAll,
    async see(roomId, eventId, deadlineMs) {
      const [found] = await seeAll(roomId, [eventId], deadlineMs)
      if (found === undefined) throw new Error(`${eventId} was seen and is gone`)
      return found
    },
    async seeStanding(roomId, standing, deadlineMs = DEADLINE_MS) {
      const give = () => (standings.get(roomId) === standing ? true : null)
      const what = () => `itself as ${standing} (it is ${standings.get(roomId) ?? 'unknown'})`
      await lookUntil(give, what, deadlineMs)
    },
  }
}
