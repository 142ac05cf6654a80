/** A Matrix client, as far as the stories need one: a registered user who makes rooms, comes and goes, sends and looks. */
import { randomUUID } from 'node:crypto'
import { call, type Json, register } from './client-api.ts'
import type { Synapse } from './synapse.ts'
import { type ClientEvent, makeView, type View } from './view.ts'

export type { ClientEvent } from './view.ts'

export interface Client extends View {
  readonly userId: string
  /** Makes a public room; resolves to its id. */
  createRoom(options?: Json): Promise<string>
  /** Joins through `via`'s homeserver (its own, where left out). */
  join(roomId: string, via?: Synapse): Promise<void>
  /** Sends a text message, sticky for `stickyMs` milliseconds if given (MSC4354); resolves to its event id. */
  send(roomId: string, body: string, options?: { readonly stickyMs?: number }): Promise<string>
  leave(roomId: string): Promise<void>
  invite(roomId: string, userId: string): Promise<void>
  kick(roomId: string, userId: string): Promise<void>
  /** `more`: further fields of the request (MSC4293). */
  ban(roomId: string, userId: string, more?: Json): Promise<void>
  unban(roomId: string, userId: string): Promise<void>
  /** Pages back from now until the room's beginning, so that its homeserver fetches what it lacks; oldest first. */
  readBack(roomId: string): Promise<ClientEvent[]>
}

/** Registers `name` on a homeserver. */
export async function registerClient(synapse: Synapse, name: string): Promise<Client> {
  const { userId, token } = await register(synapse, name)
  const matrix = <T>(method: 'GET' | 'POST' | 'PUT', path: string, body?: Json) =>
    call<T>(synapse, method, `/_matrix/client/v3${path}`, { token, body })
  const room = (roomId: string) => `/rooms/${encodeURIComponent(roomId)}`
  const member =
    (change: string) =>
    async (roomId: string, user: string, more: Json = {}) => {
      await matrix('POST', `${room(roomId)}/${change}`, { user_id: user, ...more })
    }

  async function readBack(roomId: string): Promise<ClientEvent[]> {
    const found: ClientEvent[] = []
    let from: string | undefined
    do {
      const query = new URLSearchParams({ dir: 'b', limit: '100', ...(from === undefined ? {} : { from }) })
      const page = await matrix<{ chunk: ClientEvent[]; end?: string }>(
        'GET',
        `${room(roomId)}/messages?${query.toString()}`,
      )
      found.push(...page.chunk)
      from = page.end
    } while (from !== undefined)
    return found.reverse()
  }

  return {
    ...makeView((path) => matrix('GET', path), userId),
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
    invite: member('invite'),
    kick: member('kick'),
    ban: member('ban'),
    unban: member('unban'),
    readBack,
  }
}
