/**
 * The admin API (contract, section 4): what operators see and do. Register it behind authentication: GET needs a read
 * or an admin token, everything else an admin token.
 */
import type { FastifyInstance } from 'fastify'
import type { EduSettings } from '../../deliver/edus.ts'
import { inSnapshot, nowMs, type Db } from '../../store/db.ts'
import { readTroubled } from '../../store/delivery/own-trouble.ts'
import { readSourceStates } from '../../store/ingest/source-states.ts'
import { countGapRooms, countPending, nextUnlisted } from '../../store/views/count-pending.ts'
import { countDurableEdus, countDurableEdusOf } from '../../store/views/count-durable-edus.ts'
import { countStates } from '../../store/views/count-states.ts'
import { DESTINATION_ORDERS } from '../../store/views/destination-orders.ts'
import { listDestinations } from '../../store/views/destination-list.ts'
import { findDestination, type DestinationRow } from '../../store/views/destination-row.ts'
import { pendingRooms, ROOM_ORDERS } from '../../store/views/pending-rooms.ts'
import { countedAt, readPace, readTotals, type BacklogPace } from '../../store/views/totals.ts'
import { ATTEMPT_ORDERS, listAttempts } from '../../store/views/transactions.ts'
import { registerActionRoutes, type ActionNeeds } from './actions.ts'
import { registerAuditRoute } from './audit.ts'
import { registerBlockRoutes, type BlockRouteNeeds } from './blocks.ts'
import { registerDiscoveryRoute, type DiscoveryRouteNeeds } from './discovery.ts'
import { registerEventRoutes, type EventRouteNeeds } from './events.ts'
import { registerLaterRoutes } from './later.ts'
import { registerManyRoute } from './many.ts'
import { registerPreviewRoute, type PreviewRouteNeeds } from './preview.ts'
import { choiceOf, pageOf, pagingOf, textOf } from './query.ts'
import { notFound } from './refusal.ts'
import { STATES } from '../../observe/metrics.ts'
import { registerQuarantineRoutes, type QuarantineRouteNeeds } from './quarantine.ts'
import { registerSkipRoute } from './skip.ts'
import { FROM_AFAR, stateOf, type Circumstances } from '../../explain/destination.ts'
import { ageOf, viewDestination } from './destination-view.ts'
import { registerSourceRoutes } from '../ingest/source-routes.ts'

/** The numbers are asked for at each request. */
export interface AdminDeps
  extends
    ActionNeeds,
    BlockRouteNeeds,
    DiscoveryRouteNeeds,
    EventRouteNeeds,
    PreviewRouteNeeds,
    QuarantineRouteNeeds {
  serverName: string
  version: string
}

/** Up to here backlog is counted exactly for one destination. */
const PENDING_CAP = 10_000
/** The same of durable EDUs in a list. */
const LISTED_EDUS_CAP = 20
/** Throughput is a mean over this. Longer ones would miss what busy destinations' kept attempts have lost. */
const RATE_WINDOW_MS = 10_000

/** Adds the admin API to `app`. What it refuses are `AdminRefusal`s, which the server answers as Matrix errors. */
export function registerAdminRoutes(app: FastifyInstance, deps: AdminDeps): void {
  registerDestinationRoutes(app, deps)
  registerActionRoutes(app, deps)
  registerBlockRoutes(app, deps)
  registerSkipRoute(app, deps)
  registerQuarantineRoutes(app, deps)
  registerManyRoute(app, deps)
  registerAuditRoute(app, deps)
  registerDiscoveryRoute(app, deps)
  registerPreviewRoute(app, deps)
  registerEventRoutes(app, deps)
  registerSourceRoutes(app, deps)
  registerLaterRoutes(app)
}

type Around = Omit<Circumstances, 'now'>
type OfServer = { Params: { server: string } }

function registerDestinationRoutes(app: FastifyInstance, deps: AdminDeps): void {
  const { pool, serverName, version, vetDomain, preview } = deps
  const around = {
    vetDomain,
    get deadAfterMs() {
      return deps.deadAfterMs
    },
  }
  app.get('/v1/status', async () => ({
    server_name: serverName,
    version,
    ...(await inSnapshot(pool, (db) => status(db, around))),
  }))
  app.get('/v1/destinations', ({ query }) =>
    inSnapshot(pool, (db) => destinations(db, query, around, preview.edus)),
  )
  app.get<OfServer>('/v1/destinations/:server', ({ params }) =>
    inSnapshot(pool, async (db) => destination(db, await known(db, params.server), around, preview.edus)),
  )
  app.get<OfServer>('/v1/destinations/:server/rooms', ({ params, query }) =>
    inSnapshot(pool, async (db) => {
      const page = pageOf(query, ROOM_ORDERS)
      const { id } = await known(db, params.server)
      const list = await pendingRooms(db, id, { ...page, cap: PENDING_CAP })
      return { rooms: list.rows, ...pagingOf(page, list) }
    }),
  )
  app.get<OfServer>('/v1/destinations/:server/transactions', ({ params, query }) =>
    inSnapshot(pool, async (db) => {
      // The newest first, unless told otherwise.
      const page = pageOf(query, ATTEMPT_ORDERS, 'b')
      const { id } = await known(db, params.server)
      const list = await listAttempts(db, id, page)
      return { transactions: list.rows, ...pagingOf(page, list) }
    }),
  )
}

async function known(db: Db, name: string): Promise<DestinationRow> {
  const row = await findDestination(db, name)
  if (row === null) throw notFound(`unknown destination ${name}`)
  return row
}

async function status(db: Db, around: Around) {
  const totals = await readTotals(db, RATE_WINDOW_MS)
  const none = Object.fromEntries(STATES.map((state) => [state, 0]))
  const states = { ...none, ...(await countStates(db, around)) }
  return {
    position: totals.head,
    destinations: states,
    pending_pdus: totals.pending_pdus,
    oldest_pending_ms: ageOf(totals.oldest_pending, totals.now),
    sticky_pending: totals.pending_sticky,
    sent_per_second: Math.round((totals.sent / RATE_WINDOW_MS) * 10_000) / 10,
    ...paceOf(await readPace(db, totals), totals.pending_pdus),
    as_of: totals.counted_at,
    own_trouble: await readTroubled(db),
    sources: (await readSourceStates(db)).map(({ name, state, position, behind, since, last_error }) => {
      return { name, state, position, behind, since, last_error }
    }),
  }
}

/** What comes in, how the backlog changes, and when it is empty at that pace. */
function paceOf(pace: BacklogPace | null, pending: number) {
  const perSecond = (count: number, ms: number) => Math.round((count / ms) * 10_000) / 10
  if (pace === null) return { taken_per_second: null, pending_change_per_second: null, empty_in_ms: null }
  return {
    taken_per_second: perSecond(pace.items, pace.ms),
    pending_change_per_second: perSecond(pace.pdus, pace.ms),
    empty_in_ms: pace.pdus < 0 ? Math.round((pending / -pace.pdus) * pace.ms) : null,
  }
}

async function destinations(
  db: Db,
  query: unknown,
  configured: Around,
  { durableMs }: Pick<EduSettings, 'durableMs'>,
) {
  const page = pageOf(query, DESTINATION_ORDERS)
  const state = choiceOf(query, 'state', STATES)
  const around = { now: await nowMs(db), ...configured }
  const list = await listDestinations(db, {
    ...page,
    search: textOf(query, 'search'),
    keep: state === null ? null : (row) => stateOf(row, around) === state,
  })
  const edus = await countDurableEdusOf(
    db,
    list.rows.map(({ id }) => id),
    { cap: LISTED_EDUS_CAP, now: around.now, durableMs },
  )
  const rows = list.rows.map((row) => {
    const { count, capped } = edus.get(row.id) ?? { count: 0, capped: false }
    // Nothing of what was looked at is for it, and there is more: that says nothing.
    const pending_edus = count === 0 && capped ? null : count
    const closer = { ...FROM_AFAR, edus_capped: capped && count > 0 }
    return viewDestination({ ...row, pending_edus }, around, closer)
  })
  return { destinations: rows, ...pagingOf(page, list), as_of: await countedAt(db) }
}

async function destination(
  db: Db,
  row: DestinationRow,
  around: Around,
  { durableMs }: Pick<EduSettings, 'durableMs'>,
) {
  const pending = await countPending(db, row.id, PENDING_CAP)
  const now = await nowMs(db)
  const edus = await countDurableEdus(db, row.id, { cap: PENDING_CAP, now, durableMs })
  const exact = {
    ...row,
    pending_edus: edus.count,
    pending_pdus: pending.pdus,
    pending_sticky: pending.sticky,
    oldest_pending: pending.oldest,
  }
  return viewDestination(
    exact,
    { now, ...around },
    {
      rooms_left: row.gap_to === null ? null : await countGapRooms(db, row.id),
      next_unlisted: await nextUnlisted(db, row.id),
      capped: pending.capped,
      edus_capped: edus.capped,
      pdus_resting: pending.pdusResting,
      sticky_resting: pending.stickyResting,
    },
  )
}
