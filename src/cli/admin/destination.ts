/**
 * `limpet destination NAME`: everything about one destination, beginning with why nothing goes out or what goes next.
 */
import type { DestinationAnswer, RoomsAnswer, StickyAnswer, TransactionsAnswer } from './answers.ts'
import { ageText, distance, facts, moment, table, wrap } from './table.ts'

export interface DestinationPage {
  destination: DestinationAnswer
  rooms: RoomsAnswer
  sticky: StickyAnswer
  transactions: TransactionsAnswer
}

/** How many rows of each list the page shows. */
export const SHOWN = 10

export function showDestination(
  { destination: d, rooms, sticky, transactions }: DestinationPage,
  now: number,
): string {
  const more = d.pending_capped === true ? ' or more' : ''
  const oldest = ageText(d.oldest_pending_ms)
  const head = [
    wrap(`${d.destination} is ${d.state}: ${d.reason}`, 2),
    '',
    facts([
      ['position', `${number(d.position)} of ${number(d.head)}`],
      ['PDUs pending', `${number(d.pending_pdus)}${more}${oldest === null ? '' : `, the oldest ${oldest}`}`],
      ['sticky pending', d.pending_sticky],
      [
        'EDUs pending',
        d.pending_edus == null
          ? null
          : `${number(d.pending_edus)}${d.pending_edus_capped === true ? ' or more' : ''}`,
      ],
      ['transaction', transactionText(d, now)],
      [
        'gap',
        d.gap && `${number(d.gap.from)} to ${number(d.gap.to)}, rooms left: ${number(d.gap.rooms_left ?? 0)}`,
      ],
      ...(d.quarantined > 0
        ? [['set aside', `${number(d.quarantined)} (limpet quarantine ${d.destination})`] as const]
        : []),
      ['failing since', d.failing_since && when(d.failing_since, now)],
      ['last attempt', d.last_attempt && when(d.last_attempt, now)],
      ['next attempt', d.next_attempt && when(d.next_attempt, now)],
      ['wait', ageText(d.retry_interval_ms)],
      ['last error', errorText(d, now)],
      ['last success', d.last_success && when(d.last_success, now)],
    ]),
  ]
  const sections = [
    listed('rooms with something owed', rooms.total, rooms.rooms, (rows) =>
      table(rows, [
        { title: 'ROOM', value: (row) => row.room_id, shrinkTo: 30 },
        { title: 'PDUS', value: (row) => row.pending_pdus, right: true },
        { title: 'STICKY', value: (row) => row.pending_sticky, right: true },
        { title: 'LATEST', value: (row) => row.latest_position, right: true },
      ]),
    ),
    listed('sticky events still owed', sticky.total, sticky.sticky, (rows) =>
      table(rows, [
        { title: 'EVENT', value: (row) => row.event_id, shrinkTo: 20 },
        { title: 'ROOM', value: (row) => row.room_id, shrinkTo: 20 },
        { title: 'LAPSES', value: (row) => distance(row.expires_at, now), right: true },
      ]),
    ),
    listed('transactions', transactions.total, transactions.transactions, (rows) =>
      table(rows, [
        { title: 'AT', value: (row) => moment(row.at) },
        { title: 'TRANSACTION', value: (row) => row.txn_id, shrinkTo: 12 },
        { title: 'PDUS', value: (row) => row.pdus, right: true },
        { title: 'EDUS', value: (row) => row.edus, right: true },
        { title: 'OUTCOME', value: (row) => row.outcome },
        { title: 'STATUS', value: (row) => row.status && String(row.status), right: true },
        { title: 'MS', value: (row) => row.duration_ms, right: true },
      ]),
    ),
  ]
  return [...head, ...sections.flat()].join('\n')
}

function listed<Row>(
  what: string,
  total: number,
  rows: readonly Row[],
  show: (rows: readonly Row[]) => string,
) {
  if (rows.length === 0) return []
  const first = rows.length < total ? `, the first ${rows.length} of ${number(total)}` : ''
  return ['', `${what}${first}:`, show(rows)]
}

function transactionText({ in_flight, open_transaction }: DestinationAnswer, now: number): string | null {
  if (open_transaction === null) return null
  const { txn_id, attempt, pdus, edus, created_at } = open_transaction
  const holds = `${number(pdus)} PDUs${edus > 0 ? ` and ${number(edus)} EDUs` : ''}`
  const made = `${txn_id}, ${holds}, made ${distance(created_at, now) ?? ''}, attempt ${attempt}`
  if (in_flight === null) return `${made}, unanswered`
  return `${made}, under way for ${ageText(now - in_flight.since) ?? ''} in ${in_flight.process}`
}

function errorText({ last_error: error }: DestinationAnswer, now: number): string | null {
  if (error === null) return null
  const status = error.status === null ? '' : ` ${error.status}`
  const ago = error.at === null ? '' : ` (${distance(error.at, now) ?? ''})`
  return `${error.kind ?? 'error'}${status}: ${error.message ?? 'no details'}${ago}`
}

const number = (value: number) => value.toLocaleString('en-US')
const when = (at: number, now: number) => `${moment(at) ?? ''} (${distance(at, now) ?? ''})`
