/**
 * A Matrix client, as far as the stories need one: a registered user who makes rooms, joins, sends and looks.
 *
 * It uses Synapse's client API (and the admin API to register). Every answer that is not 2xx is thrown with its text.
 */
import { createHmac, randomUUID } from 'node:crypto'
import type { Synapse } from './synapse.ts'

type Json = Record<string, unknown>

/** An event as `/sync` shows it to a client. */
export interface ClientEvent {
  readonly event_id: string
  readonly type: string
  readonly sender: string
  readonly content: Json
  readonly msc4354_sticky?: { readonly duration_ms: number }
}

export interface Client {
  readonly userId: string
  /** Makes a public room; resolves to its id. */
  createRoom(options?: Json): Promise<string>
  /** Joins through `via`'s homeserver (its own, where left out). */
  join(roomId: string, via?: Synapse): Promise<void>
  /** Sends a text message, sticky for `stickyMs` milliseconds if given (MSC4354); resolves to its event id. */
  send(roomId: string, body: string, options?: { readonly stickyMs?: number }): Promise<string>
  leave(roomId: string): Promise<void>
  /**
   * Every event of the room that `/sync` has shown to this client up to now, timeline and sticky ones; waits up
   * to `waitMs` milliseconds for news.
   */
  look(roomId: string, waitMs?: number): Promise<ClientEvent[]>
  /** Looks until the event is there. @throws when it is not after `deadlineMs` milliseconds. */
  see(roomId: string, eventId: string, deadlineMs?: number): Promise<ClientEvent>
}

/** Registers `localpart` on a homeserver and logs in. */
export async function registerClient(synapse: Synapse, localpart: string): Promise<Client> {
  const password = randomUUID()
  const { nonce } = await call<{ nonce: string }>(synapse, 'GET', '/_synapse/admin/v1/register')
  const mac = createHmac('sha1', synapse.sharedSecret)
    .update([nonce, localpart, password, 'notadmin'].join('\0'))
    .digest('hex')
  const { access_token: token, user_id: userId } = await call<{ access_token: string; user_id: string }>(
    synapse,
    'POST',
    '/_synapse/admin/v1/register',
    { body: { nonce, username: localpart, password, admin: false, mac } },
  )
  const matrix = <T>(method: string, path: string, body?: Json) =>
    call<T>(synapse, method, `/_matrix/client/v3${path}`, { token, body })
  const room = (roomId: string) => `/rooms/${encodeURIComponent(roomId)}`

  const seen = new Map<string, Map<string, ClientEvent>>()
  let since: string | undefined

  interface SyncRoom {
    timeline?: { events: ClientEvent[] }
    state?: { events: ClientEvent[] }
    msc4354_sticky?: { events: ClientEvent[] }
  }
  async function sync(waitMs: number): Promise<void> {
    const query = new URLSearchParams({ timeout: String(waitMs), ...(since === undefined ? {} : { since }) })
    const answer = await matrix<{ next_batch: string; rooms?: { join?: Record<string, SyncRoom> } }>(
      'GET',
      `/sync?${query.toString()}`,
    )
    since = answer.next_batch
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

  return {
    userId,
    async createRoom(options = {}) {
      const made = await matrix<{ room_id: string }>('POST', '/createRoom', {
        preset: 'public_chat',
        ...options,
      })
      return made.room_id
    },
    async join(roomId, via) {
      const query = via === undefined ? '' : `?via=${encodeURIComponent(via.serverName)}`
      await matrix('POST', `/join/${encodeURIComponent(roomId)}${query}`, {})
    },
    async send(roomId, body, options) {
      const query =
        options?.stickyMs === undefined ? '' : `?org.matrix.msc4354.sticky_duration_ms=${options.stickyMs}`
      const sent = await matrix<{ event_id: string }>(
        'PUT',
        `${room(roomId)}/send/m.room.message/${randomUUID()}${query}`,
        { msgtype: 'm.text', body },
      )
      return sent.event_id
    },
    async leave(roomId) {
      await matrix('POST', `${room(roomId)}/leave`, {})
    },
    look,
    async see(roomId, eventId, deadlineMs = 30_000) {
      const end = performance.now() + deadlineMs
      for (;;) {
        const found = (await look(roomId, 250)).find((event) => event.event_id === eventId)
        if (found !== undefined) return found
        if (performance.now() > end)
          throw new Error(`${userId} did not see ${eventId} within ${deadlineMs / 1000} s`)
      }
    },
  }
}

async function call<T>(
  synapse: Synapse,
  method: string,
  path: string,
  { token, body }: { token?: string; body?: Json | undefined } = {},
): Promise<T> {
  const answer = await fetch(`${synapse.clientUrl}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
  return JSON.parse(text) as T
}
