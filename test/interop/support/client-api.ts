/** Synapse's HTTP API as a client asks it. Every answer that is not 2xx is thrown with its text. */
import { createHmac, randomUUID } from 'node:crypto'
import type { Synapse } from './synapse.ts'

export type Json = Record<string, unknown>

export interface Account {
  readonly userId: string
  readonly token: string
}

let registered = 0

/** Registers a user called `name.N`: the stories share homeservers, and each has its own Alice. */
export async function register(synapse: Synapse, name: string, admin = false): Promise<Account> {
  registered += 1
  const username = `${name}.${registered}`
  const password = randomUUID()
  const path = '/_synapse/admin/v1/register'
  const { nonce } = await call<{ nonce: string }>(synapse, 'GET', path)
  const mac = createHmac('sha1', synapse.sharedSecret)
    .update([nonce, username, password, admin ? 'admin' : 'notadmin'].join('\0'))
    .digest('hex')
  const made = await call<{ access_token: string; user_id: string }>(synapse, 'POST', path, {
    body: { nonce, username, password, admin, mac },
  })
  return { userId: made.user_id, token: made.access_token }
}

/** Has an admin of this homeserver delete a room (the admin API): its users leave, and every trace of it is purged. */
export async function deleteRoom(synapse: Synapse, roomId: string): Promise<void> {
  const { token } = await register(synapse, 'admin', true)
  const path = `/_synapse/admin/v1/rooms/${encodeURIComponent(roomId)}`
  await call(synapse, 'DELETE', path, { token, body: { purge: true } })
}

/** One request to the client API. @throws for an answer that is not 2xx */
export async function call<T>(
  { client }: Synapse,
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  path: string,
  options: { readonly token?: string; readonly body?: Json | undefined } = {},
): Promise<T> {
  const { status, text } = await client.ask(method, path, options)
  if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${text}`)
  return JSON.parse(text) as T
}
