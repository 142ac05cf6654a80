/**
 * Every metric of limpet (contract, section 7), made in one place and typed, so that a wrong label does not compile.
 *
 * Base units: seconds, bytes. No label contains a destination's name unless `perDestination` asks for it: ten thousand
 * destinations would make ten thousand series of each metric.
 */
import { PDU_ERROR_CLASSES } from './pdu-error-class.ts'
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client'
import { tallyCounter, tallyGauge, tallyHistogram } from './tally.ts'

/** The states of a destination (contract, section 4). */
export const STATES = [
  ...(['idle', 'sending', 'catching_up', 'backing_off', 'refused', 'dead', 'paused', 'blocked'] as const),
] as const
export type StateLabel = (typeof STATES)[number]

// Every value that the labels of these counters can have: `increase()` does not see a series' first step from nothing.
const ITEM_TYPES = ['event', 'servers', 'redact', 'purge', 'erase', 'server_up', 'edu'] as const
const IGNORED_WHYS = [
  ...(['own_name', 'invalid_name', 'no_change', 'unknown', 'purged'] as const),
  ...(['malformed', 'not_canonical', 'too_large', 'private'] as const),
] as const
const SENT_REASONS = ['timeline', 'catch_up', 'sticky_replay'] as const
const GIVEN_UP_WHYS = ['purge', 'retention', 'operator', 'edus_too_old'] as const
const OUTCOMES = ['answered', 'failed', 'busy', 'gone', 'never_left', 'aborted', 'lost'] as const
// What was asked, and what it came to: of the network only, what is remembered or shared is no lookup.
const LOOKUP_OUTCOMES = [
  ...(['well_known_found', 'well_known_none', 'well_known_failed'] as const),
  ...(['srv_found', 'srv_none', 'srv_failed'] as const),
  ...(['address_found', 'address_none', 'address_failed'] as const),
]
export const OWN_TROUBLES = ['no_answer', 'refused_401'] as const
const EDU_TYPES = [
  ...(['m.typing', 'm.receipt', 'm.presence', 'm.direct_to_device'] as const),
  ...(['m.device_list_update', 'm.signing_key_update'] as const),
  // What a homeserver says its EDUs are is any text: it must not make series without end.
  'other' as const,
]
type EduLabel = (typeof EDU_TYPES)[number]
/** How EDUs of this type are counted. */
export const eduLabel = (eduType: string): EduLabel => EDU_TYPES.find((known) => known === eduType) ?? 'other'
export type LookupOutcome = (typeof LOOKUP_OUTCOMES)[number]
export type AttemptOutcome = (typeof OUTCOMES)[number]
export type IngestItemType = (typeof ITEM_TYPES)[number]
export type IngestIgnoredWhy = (typeof IGNORED_WHYS)[number]

/** What the sweep counted, for the gauges. Ages are milliseconds. */
export interface Totals {
  readonly position: number
  readonly destinations: Partial<Record<StateLabel, number>>
  readonly pendingPdus: number
  /** Null: nothing waits. */
  readonly oldestPendingMs: number | null
  readonly stickyPending: number
  /** Age of the oldest snapshot of the database that a session holds; 0: there is none. */
  readonly oldestSnapshotMs: number
  /** PDUs that were set aside, each for one destination. */
  readonly setAsidePdus: number
  readonly setAsideEdus: number
  /** Rooms that are held, each for one destination. */
  readonly heldRooms: number
  /** Shown only where `perDestination` was asked for. */
  readonly perDestination?: Iterable<{
    destination: string
    pendingPdus: number
    oldestPendingMs: number | null
  }>
}

// From a message between two quick servers to one that waited out a night.
const DELIVERY_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 3600, 14400, 86400]
// Up to the 300 s that the longest attempt may take.
const TRANSACTION_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300]

export type Metrics = ReturnType<typeof makeMetrics>

/** `runtime: false` leaves out the runtime's own metrics (tests that make many registries). */
export function makeMetrics({
  perDestination = false,
  registry = new Registry(),
  runtime = true,
  linesLost = () => 0,
}: { perDestination?: boolean; registry?: Registry; runtime?: boolean; linesLost?: () => number } = {}) {
  if (runtime) collectDefaultMetrics({ register: registry, prefix: 'limpet_' })

  const gauge = <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge<L>({ name: `limpet_${name}`, help, labelNames, registers: [registry] })
  const counter = <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
    new Counter<L>({ name: `limpet_${name}`, help, labelNames, registers: [registry] })
  /** A counter that shows 0 from the start for each of `values`. */
  const counterOf = <L extends string, V extends string>(
    name: string,
    help: string,
    label: L,
    values: readonly V[],
  ) => tallyCounter(registry, { name: `limpet_${name}`, help, label, values })
  const histogram = (name: string, help: string, buckets: number[]) =>
    tallyHistogram(registry, { name: `limpet_${name}`, help, buckets })

  let bodiesBytes = () => 0
  new Gauge({
    name: 'limpet_bodies_bytes',
    help: 'Bytes of transactions that this process holds, of memory.bodies_bytes at most.',
    registers: [registry],
    collect() {
      this.set(bodiesBytes())
    },
  })

  const totals = {
    position: gauge('stream_position', 'Newest position of the stream, as of the last sweep.'),
    destinations: gauge('destinations', 'Destinations by state, as of the last sweep.', ['state']),
    pendingPdus: gauge('pending_pdus', 'PDUs owed to all destinations, as of the last sweep.'),
    oldestPending: gauge(
      'oldest_pending_seconds',
      'Age of the oldest PDU owed to any destination; 0 if none.',
    ),
    stickyPending: gauge('sticky_pending', 'Unexpired sticky events still owed, as of the last sweep.'),
    oldestSnapshot: gauge(
      'oldest_snapshot_seconds',
      'Age of the oldest snapshot held on the database, as of the last sweep; 0 if none.',
    ),
    setAside: gauge(
      'set_aside',
      'What destinations refuse and is tried alone, as of the last sweep; each for one destination.',
      ['kind'],
    ),
    heldRooms: gauge(
      'held_rooms',
      'Rooms that wait because several PDUs of them were refused, as of the last sweep; each for one destination.',
    ),
  }
  const each = perDestination
    ? {
        pendingPdus: gauge('destination_pending_pdus', 'PDUs owed to one destination.', ['destination']),
        oldestPending: gauge('destination_oldest_pending_seconds', 'Age of the oldest PDU owed to it.', [
          'destination',
        ]),
      }
    : null

  const queueJobs = gauge('queue_jobs', 'Jobs in the queues, by queue and state, as of the last sweep.', [
    'queue',
    'state',
  ])

  /** Takes the sweep's counts away: another process counts now, and what is here grows stale. */
  const clearTotals = () => {
    const { destinations, setAside, ...plain } = totals
    for (const one of Object.values(plain)) one.remove()
    destinations.reset()
    setAside.reset()
    queueJobs.reset()
    each?.pendingPdus.reset()
    each?.oldestPending.reset()
  }

  const setTotals = (now: Totals) => {
    totals.position.set(now.position)
    for (const state of STATES) totals.destinations.set({ state }, now.destinations[state] ?? 0)
    totals.pendingPdus.set(now.pendingPdus)
    totals.oldestPending.set((now.oldestPendingMs ?? 0) / 1000)
    totals.stickyPending.set(now.stickyPending)
    totals.oldestSnapshot.set(now.oldestSnapshotMs / 1000)
    totals.setAside.set({ kind: 'pdu' }, now.setAsidePdus)
    totals.setAside.set({ kind: 'edu' }, now.setAsideEdus)
    totals.heldRooms.set(now.heldRooms)
    if (each === null) return
    // Forget destinations that are owed nothing any more.
    each.pendingPdus.reset()
    each.oldestPending.reset()
    for (const { destination, pendingPdus, oldestPendingMs } of now.perDestination ?? []) {
      each.pendingPdus.set({ destination }, pendingPdus)
      each.oldestPending.set({ destination }, (oldestPendingMs ?? 0) / 1000)
    }
  }

  new Counter({
    name: 'limpet_log_lines_lost_total',
    help: 'Log lines that standard output did not accept (disk full, or its reader gone).',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(linesLost())
    },
  })

  const ownTrouble = gauge(
    'own_trouble',
    'Whether this process takes its failures for its own fault (1), by kind: nobody can be reached, or everybody answers 401.',
    ['kind'],
  )
  const setOwnTrouble = (now: (typeof OWN_TROUBLES)[number] | null) => {
    for (const kind of OWN_TROUBLES) ownTrouble.set({ kind }, kind === now ? 1 : 0)
  }
  setOwnTrouble(null)

  // A process that has not swept has counted nothing: a 0 would say that all is well.
  clearTotals()

  return {
    registry,
    setTotals,
    clearTotals,
    setOwnTrouble,
    ingestItems: counterOf(
      'ingest_items_total',
      'Items taken, by type, without duplicates.',
      'type',
      ITEM_TYPES,
    ),
    ingestIgnored: counterOf(
      'ingest_ignored_total',
      'What ingest left out and listed as ignored, by reason; purged: Synapse purged it before it was read.',
      'why',
      IGNORED_WHYS,
    ),
    pdusSent: counterOf(
      'pdus_sent_total',
      'PDUs in transactions that were answered.',
      'reason',
      SENT_REASONS,
    ),
    pduErrors: counterOf(
      'pdu_errors_total',
      'PDUs that an answer took and said to be in error, by what the text of the error is about.',
      'class',
      PDU_ERROR_CLASSES,
    ),
    edusSent: counterOf('edus_sent_total', 'EDUs in transactions that were answered.', 'type', EDU_TYPES),
    transactions: counterOf(
      'transactions_total',
      'Attempts to send a transaction, by outcome.',
      'outcome',
      OUTCOMES,
    ),
    discoveryLookups: counterOf(
      'discovery_total',
      'Lookups of server discovery that this process made, by what was asked (.well-known, SRV, addresses) and what it came to.',
      'outcome',
      LOOKUP_OUTCOMES,
    ),
    transactionsInFlight: tallyGauge(registry, {
      name: 'limpet_transactions_in_flight',
      help: 'Requests to destinations that are under way in this process.',
    }),
    transactionSeconds: histogram(
      'transaction_seconds',
      'Duration of one attempt to send.',
      TRANSACTION_BUCKETS,
    ),
    /** What `limpet_bodies_bytes` shows: asked at each scrape. */
    watchBodies: (held: () => number) => {
      bodiesBytes = held
    },
    deliverySeconds: histogram(
      'delivery_seconds',
      'From ingest to acknowledged, every PDU.',
      DELIVERY_BUCKETS,
    ),
    stickyDeliverySeconds: histogram(
      'sticky_delivery_seconds',
      'From ingest to acknowledged, PDUs that were sticky then.',
      DELIVERY_BUCKETS,
    ),
    stickyLapsed: counter('sticky_lapsed_total', 'Replays that were dropped because the event lapsed first.'),
    queueJobs,
    sourceBehind: gauge(
      'source_behind_seconds',
      'For how long something in a source has waited to be taken, or the source could not be read; 0 if neither.',
      ['source'],
    ),
    givenUp: counterOf(
      'given_up_total',
      'Pairs of event, or durable EDU, and destination that were given up, by reason.',
      'why',
      GIVEN_UP_WHYS,
    ),
    dbConnections: gauge('db_connections', 'Connections to the database in this process.', ['state']),
  }
}
