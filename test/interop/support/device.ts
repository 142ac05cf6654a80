/** A device of a user as its homeserver serves it: what `/sync` brings beside events of rooms. */
import { until } from '../../support/poll.ts'
import { call, type Account, type Json } from './client-api.ts'
import type { Synapse } from './synapse.ts'

interface Content {
  readonly type: string
  readonly sender?: string
  readonly content: Json
}

export interface Synced {
  readonly next_batch: string
  readonly to_device?: { readonly events: readonly Content[] }
  readonly presence?: { readonly events: readonly Content[] }
  readonly device_lists?: { readonly changed?: readonly string[] }
  readonly rooms?: {
    readonly join?: Readonly<Record<string, { readonly ephemeral?: { readonly events: readonly Content[] } }>>
  }
}

export interface Device extends Account {
  /** Asks until an answer shows it. @throws when none does in time */
  sees(what: string, shows: (synced: Synced) => boolean): Promise<void>
}

const POLL_MS = 1_000
const WITHIN_MS = 60_000

/** Of a user who is registered. What was there before is passed over. */
export async function openDevice(synapse: Synapse, account: Account): Promise<Device> {
  const { token } = account
  const sync = (query: Record<string, string>) =>
    call<Synced>(synapse, 'GET', `/_matrix/client/v3/sync?${new URLSearchParams(query).toString()}`, {
      token,
    })
  let since = (await sync({ timeout: '0' })).next_batch
  return {
    ...account,
    async sees(what, shows) {
      const asked = async () => {
        const synced = await sync({ timeout: String(POLL_MS), since })
        since = synced.next_batch
        return shows(synced)
      }
      await until(asked, { withinMs: WITHIN_MS, everyMs: 20, what: `${account.userId} to see ${what}` })
    },
  }
}

export const ephemeralIn = (synced: Synced, room: string, type: string): Json[] =>
  (synced.rooms?.join?.[room]?.ephemeral?.events ?? [])
    .filter((one) => one.type === type)
    .map(({ content }) => content)
