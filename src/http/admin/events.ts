/** Admin API: what became of an event, and which sticky events are owed to which servers. */
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { VetDomain } from '../../allow/domains.ts'
import { inSnapshot, type Pool } from '../../store/db.ts'
import { findDestination } from '../../store/views/destination-row.ts'
import { readCarried, readOvertaken } from '../../store/views/event-attempts.ts'
import { wasErased } from '../../store/views/erased.ts'
import { findEvent, isKnownEvent, readEventFacts, type EventRow } from '../../store/views/event-facts.ts'
import { listSticky, STICKY_ORDERS } from '../../store/views/sticky-list.ts'
import type { Db } from '../../store/db.ts'
import { explainMessage } from './message.ts'
import { pageOf, pagingOf, textOf } from './query.ts'
import { notFound } from './refusal.ts'
import { makeTally, tellEvent, viewFate, type ToldFate } from '../../explain/event.ts'

export interface EventRouteNeeds {
  pool: Pool
  /** To whom nothing is sent, as of now; null: nobody is blocked. */
  vetDomain: VetDomain | null
  /** After how long one that fails is dead, ms. */
  deadAfterMs: number
}

export function registerEventRoutes(app: FastifyInstance, needs: EventRouteNeeds): void {
  const { pool, vetDomain } = needs
  app.get<{ Params: { eventId: string } }>('/v1/events/:eventId', ({ params, query }) =>
    inSnapshot(pool, (db) =>
      explain(
        db,
        { vetDomain, deadAfterMs: needs.deadAfterMs },
        { eventId: params.eventId, name: textOf(query, 'destination') },
      ),
    ),
  )
  app.get('/v1/sticky', ({ query }) => inSnapshot(pool, (db) => sticky(db, query)))
}

async function explain(
  db: Db,
  around: Omit<EventRouteNeeds, 'pool'>,
  { eventId, name }: { eventId: string; name: string | null },
) {
  const event = await findEvent(db, eventId)
  if (event === null) {
    const message = await explainMessage(db, around, { messageId: eventId, name })
    if (message !== null) return message
    if (await wasErased(db, eventId))
      throw notFound('that event was erased: nothing of it is stored, or sent')
    const gone = await isKnownEvent(db, eventId)
    throw notFound(gone ? 'that event is no longer in the log (purged, erased, or too old)' : 'unknown event')
  }
  const only = name === null ? null : await idOf(db, name)
  const facts = await readEventFacts(db, [event], only)
  const carried = await readCarried(db, event, only)
  const overtaken = await readOvertaken(db, event, only)
  const told = tellEvent(event, facts, { carried, overtaken })
  const shown = only === null ? told.filter((one) => concerns(event, one)) : told
  return {
    event_id: event.event_id,
    room_id: event.room_id,
    position: event.pos,
    received: event.received_ts,
    sticky_until: event.sticky_until,
    destinations: shown.map((one) => viewFate(one, { now: facts.now, ...around })).sort(byName),
  }
}

// Of those who were not entitled only the ones that the event itself left out by name: the others are all other destinations.
const concerns = ({ less }: EventRow, { fate, destination }: ToldFate) =>
  fate.outcome !== 'not_entitled' || less?.includes(destination.id) === true

const byName = (a: { destination: string }, b: { destination: string }) =>
  a.destination < b.destination ? -1 : 1

async function sticky(db: Db, query: unknown) {
  const page = pageOf(query, STICKY_ORDERS)
  const name = textOf(query, 'destination')
  const destination = name === null ? null : await idOf(db, name)
  const list = await listSticky(db, { ...page, roomId: textOf(query, 'room_id'), destination })
  const tally = makeTally(await readEventFacts(db, list.rows, null))
  const rows = []
  for (const [index, event] of list.rows.entries()) {
    // A thousand events of a large room are millions of pairs: whatever else the process does goes on meanwhile.
    if (index % 20 === 19) await setImmediate()
    rows.push({
      event_id: event.event_id,
      room_id: event.room_id,
      sender: event.sender,
      position: event.pos,
      expires_at: event.sticky_until,
      ...tally(event),
    })
  }
  return { sticky: rows, ...pagingOf(page, list) }
}

async function idOf(db: Db, name: string): Promise<number> {
  const row = await findDestination(db, name)
  if (row === null) throw notFound(`unknown destination ${name}`)
  return row.id
}
