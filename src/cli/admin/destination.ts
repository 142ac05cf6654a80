/**
 * `limpet destination NAME`: everything about one destination, beginning with why nothing goes out or what goes next.
 */
import { pathOf } from './act.ts'
import type { AdminClient } from './client.ts'
import { SHAPES } from './shape.ts'
import type { DestinationAnswer, RoomsAnswer, StickyAnswer, TransactionsAnswer } from './answers.ts'
import { ageText, counted, distance, moment, momentFrom, numberText } from './ages.ts'
import { tintOfState } from './destinations.ts'
import type { Screen } from '../screen.ts'
import { table } from './table.ts'
import { facts, wrap } from './wrap.ts'

export interface DestinationPage {
  destination: DestinationAnswer
  rooms: RoomsAnswer
  sticky: StickyAnswer
  transactions: TransactionsAnswer
}

/** How many rows of each list the page shows. */
const SHOWN = 10

/** Its page, in four requests. */
export async function askDestinationPage(client: AdminClient, name: string): Promise<DestinationPage> {
  const path = pathOf(name)
  const limit = String(SHOWN)
  return {
    destination: (await client.get(path, SHAPES.destination)) as DestinationAnswer,
    rooms: (await client.get(`${path}/rooms`, SHAPES.rooms, {
      ...{ order_by: 'pending_pdus', dir: 'b', limit },
    })) as RoomsAnswer,
    sticky: (await client.get('/v1/sticky', SHAPES.sticky, {
      ...{ destination: name, order_by: 'expires_at', limit },
    })) as StickyAnswer,
    transactions: (await client.get(`${path}/transactions`, SHAPES.transactions, {
      limit,
    })) as TransactionsAnswer,
  }
}

export function showDestination(
  { destination: d, rooms, sticky, transactions }: DestinationPage,
  now: number,
  screen: Screen,
): string {
  const more = d.pending_capped === true ? ' or more' : ''
  const oldest = ageText(d.oldest_pending_ms)
  const head = [
    stateLine(d, screen),
    '',
    facts(
      [
        ['position', `${numberText(d.position)} of ${numberText(d.head)}`],
        [
          'PDUs pending',
          `${numberText(d.pending_pdus)}${more}${oldest === null ? '' : `, the oldest ${oldest}`}`,
        ],
        ['sticky pending', d.pending_sticky],
        [
          'EDUs pending',
          d.pending_edus == null
            ? null
            : `${numberText(d.pending_edus)}${d.pending_edus_capped === true ? ' or more' : ''}`,
        ],
        ['transaction', transactionText(d, now)],
        [
          'gap',
          d.gap &&
            `${numberText(d.gap.from)} to ${numberText(d.gap.to)}, rooms left: ${numberText(d.gap.rooms_left ?? 0)}`,
        ],
        ...(d.quarantined > 0
          ? [['set aside', `${numberText(d.quarantined)} (limpet quarantine ${d.destination})`] as const]
          : []),
        ['failing since', d.failing_since && momentFrom(d.failing_since, now)],
        ['last attempt', d.last_attempt && momentFrom(d.last_attempt, now)],
        ['next attempt', d.next_attempt && momentFrom(d.next_attempt, now)],
        ['wait', ageText(d.retry_interval_ms)],
        ['last error', errorText(d, now)],
        ['last success', d.last_success && momentFrom(d.last_success, now)],
      ],
      screen,
      [d.destination, d.open_transaction?.txn_id ?? ''],
    ),
  ]
  const sections = [
    listed('rooms with something owed', rooms.total, rooms.rooms, (rows) =>
      table(
        rows,
        [
          { title: 'ROOM', value: (row) => row.room_id, id: 'room' },
          { title: 'PDUS', value: (row) => row.pending_pdus, right: true },
          { title: 'STICKY', value: (row) => row.pending_sticky, right: true },
          { title: 'LATEST', value: (row) => row.latest_position, right: true },
        ],
        screen,
      ),
    ),
    listed('sticky events still owed', sticky.total, sticky.sticky, (rows) =>
      table(
        rows,
        [
          { title: 'EVENT', value: (row) => row.event_id, id: 'event' },
          { title: 'ROOM', value: (row) => row.room_id, id: 'room' },
          { title: 'LAPSES', value: (row) => distance(row.expires_at, now), right: true },
        ],
        screen,
      ),
    ),
    listed('attempts, newest first', transactions.total, transactions.transactions, (rows) =>
      table(
        rows,
        [
          { title: 'AT (UTC)', value: (row) => moment(row.at) },
          { title: 'TRANSACTION', value: (row) => row.txn_id, id: 'transaction' },
          { title: 'PDUS', value: (row) => row.pdus, right: true },
          { title: 'EDUS', value: (row) => row.edus, right: true },
          {
            title: 'OUTCOME',
            value: (row) => row.outcome,
            tint: (row) => (row.outcome === 'answered' ? null : 'trouble'),
          },
          { title: 'STATUS', value: (row) => row.status && String(row.status), right: true },
          { title: 'MS', value: (row) => row.duration_ms, right: true },
        ],
        screen,
      ),
    ),
  ]
  return [...head, ...sections.flat()].join('\n')
}

function stateLine({ destination, state, reason }: DestinationAnswer, { width, tint }: Screen): string {
  const text = wrap(`${destination} is ${state}: ${reason}`, 2, width, [destination])
  const hue = tintOfState(state)
  // Only where it has not been broken.
  return hue === null ? text : text.replace(` is ${state}:`, () => ` is ${tint(hue, state)}:`)
}

function listed<Row>(
  what: string,
  total: number,
  rows: readonly Row[],
  show: (rows: readonly Row[]) => string,
) {
  if (rows.length === 0) return []
  const first = rows.length < total ? `, the first ${rows.length} of ${numberText(total)}` : ''
  return ['', `${what}${first}:`, show(rows)]
}

function transactionText({ in_flight, open_transaction }: DestinationAnswer, now: number): string | null {
  if (open_transaction === null) return null
  const { txn_id, attempt, pdus, edus, created_at } = open_transaction
  const holds = `${counted(pdus, 'PDU')}${edus > 0 ? ` and ${counted(edus, 'EDU')}` : ''}`
  const made = `${txn_id}, ${holds}, made ${distance(created_at, now) ?? ''}, attempt ${attempt}`
  if (in_flight === null) return `${made}, unanswered`
  return `${made}, under way for ${ageText(now - in_flight.since) ?? ''} in ${in_flight.process}`
}

function errorText(
  { last_error: error, last_success: success }: DestinationAnswer,
  now: number,
): string | null {
  if (error === null) return null
  const isOver = error.at !== null && success !== null && success > error.at
  const status = error.status === null ? '' : ` ${error.status}`
  const ago =
    error.at === null ? '' : ` (${distance(error.at, now) ?? ''}${isOver ? ', before the last success' : ''})`
  return `${error.kind ?? 'error'}${status}: ${error.message ?? 'no details'}${ago}`
}
