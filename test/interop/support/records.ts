/** What limpet itself says became of an event, of a destination, of its transactions. */
import { openPool } from '../../../src/store/db.ts'
import type { Limpet } from './limpet.ts'
import type { Synapse } from './synapse.ts'

export interface Fate {
  readonly destination: string
  readonly outcome: string
  readonly as: string | null
  readonly why: string | null
}

interface ToldEvent {
  readonly sticky_until: number | null
  readonly destinations: readonly Fate[]
}

/** What became of an event for a server; null where limpet does not know the event, or has nothing to say of the server. */
export async function fateOf(limpet: Limpet, eventId: string, server: Synapse): Promise<Fate | null> {
  const told = await eventIn(limpet, eventId)
  return told?.destinations.find(({ destination }) => destination === server.serverName) ?? null
}

/** Whether limpet has the event, for any destination. */
export async function eventIn(limpet: Limpet, eventId: string): Promise<ToldEvent | null> {
  return limpet.get<ToldEvent>(`/v1/events/${encodeURIComponent(eventId)}`).catch((error: unknown) => {
    if (error instanceof Error && error.message.includes('M_NOT_FOUND')) return null
    throw error
  })
}

export interface Destination {
  readonly state: string
  readonly pending_pdus: number
  readonly pending_sticky: number
  readonly gap: { readonly from: number; readonly to: number; readonly rooms_left: number } | null
}

export async function destinationOf(limpet: Limpet, server: Synapse): Promise<Destination> {
  return limpet.get(`/v1/destinations/${encodeURIComponent(server.serverName)}`)
}

/** How often answers of this server did not list an event that they were sent, by limpet's own record. */
export async function unlistedBy(limpet: Limpet, server: Synapse): Promise<number> {
  const pool = openPool({ url: limpet.databaseUrl, max: 1 })
  try {
    const { rows } = await pool.query<{ unlisted: number }>(
      `select coalesce(sum(cardinality(a.unlisted)), 0) as unlisted
         from attempts a join destinations d on d.id = a.destination where d.name = $1`,
      [server.serverName],
    )
    return rows[0]?.unlisted ?? 0
  } finally {
    await pool.end()
  }
}
