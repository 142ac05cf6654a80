/** The calls with which operators look (contract, section 4). */
import { z } from 'zod'
import { STATES } from '../observe/metrics.ts'
import { ACT_ORDERS } from '../store/views/audit-list.ts'
import { DESTINATION_ORDERS } from '../store/views/destination-orders.ts'
import { ROOM_ORDERS } from '../store/views/pending-rooms.ts'
import { QUARANTINE_ORDERS } from '../store/views/quarantine.ts'
import { STICKY_ORDERS } from '../store/views/sticky-list.ts'
import { ATTEMPT_ORDERS } from '../store/views/transactions.ts'
import {
  attemptPage,
  destination,
  destinationPage,
  discovery,
  pendingRoomPage,
  preview,
  quarantinePage,
} from './destination-shapes.ts'
import { auditPage, blocks, explained, source, status, stickyPage } from './operator-shapes.ts'
import type { Operation, DescribedRefusal } from './operation.ts'
import { pageQuery, yesOrNo } from './page-query.ts'

const look = { method: 'GET', group: 'Looking', access: ['read', 'admin'] } as const
const OF = '/v1/destinations/{server}'
export const unknownServer: DescribedRefusal = [404, 'M_NOT_FOUND', 'The destination is not known.']

export const LOOKING: readonly Operation[] = [
  {
    ...{ ...look, path: '/v1/status', name: 'status' },
    about: 'Totals: backlog, destinations by state, throughput, sources.',
    answer: { status: 200, json: status },
  },
  {
    ...{ ...look, path: '/v1/destinations', name: 'destinations' },
    about: 'The destinations.',
    query: {
      state: z.enum(STATES).optional().describe('Only those in this state.'),
      search: z.string().optional().describe('Only those with this in their name, in any case.'),
      ...pageQuery(DESTINATION_ORDERS),
    },
    answer: { status: 200, json: destinationPage },
  },
  {
    ...{ ...look, path: OF, name: 'destination' },
    about: 'One destination, counted exactly, with the reason why nothing goes out or what goes next.',
    answer: { status: 200, json: destination },
    refusals: [unknownServer],
  },
  {
    ...{ ...look, path: `${OF}/rooms`, name: 'pendingRooms' },
    about: 'The rooms with something still owed to it.',
    query: pageQuery(ROOM_ORDERS),
    answer: { status: 200, json: pendingRoomPage },
    refusals: [unknownServer],
  },
  {
    ...{ ...look, path: `${OF}/transactions`, name: 'attempts' },
    about: 'The newest attempts to send to it.',
    query: pageQuery(ATTEMPT_ORDERS, 'b'),
    answer: { status: 200, json: attemptPage },
    refusals: [unknownServer],
  },
  {
    ...{ ...look, path: `${OF}/quarantine`, name: 'quarantine' },
    about: 'What it refuses and was set aside, and the rooms that are held.',
    query: pageQuery(QUARANTINE_ORDERS),
    answer: { status: 200, json: quarantinePage },
    refusals: [unknownServer],
  },
  {
    ...{ ...look, path: `${OF}/preview`, name: 'preview' },
    about: 'The next transaction, as it would be sent now. Nothing is sent.',
    answer: { status: 200, json: preview },
    refusals: [unknownServer],
  },
  {
    ...{ ...look, path: `${OF}/discovery`, name: 'discovery' },
    about: 'Server discovery of any server name, step by step.',
    query: { fresh: yesOrNo.optional().describe('true: asks whatever is remembered. Default: false.') },
    answer: { status: 200, json: discovery },
  },
  {
    ...{ ...look, path: '/v1/events/{eventId}', name: 'explain' },
    about: 'What became of an event, or of a to-device message, for each destination.',
    query: { destination: z.string().optional().describe('Only for this one.') },
    answer: { status: 200, json: explained },
    refusals: [[404, 'M_NOT_FOUND', 'The event, or the destination, is not known.']],
  },
  {
    ...{ ...look, path: '/v1/sticky', name: 'sticky' },
    about: 'Unexpired sticky events, and to whom each is still owed.',
    query: {
      room_id: z.string().optional(),
      destination: z.string().optional().describe('Only what is owed to this one.'),
      ...pageQuery(STICKY_ORDERS),
    },
    answer: { status: 200, json: stickyPage },
    refusals: [unknownServer],
  },
  {
    ...{ ...look, path: '/v1/blocks', name: 'blocks' },
    about: 'Whom operators block.',
    answer: { status: 200, json: blocks },
  },
  {
    ...{ ...look, path: '/v1/audit', name: 'audit' },
    about: 'What operators did.',
    query: pageQuery(ACT_ORDERS, 'b'),
    answer: { status: 200, json: auditPage },
  },
  {
    ...{ ...look, path: '/v1/sources/{name}', name: 'source' },
    about: 'A source that limpet reads.',
    answer: { status: 200, json: source },
    refusals: [[404, 'M_NOT_FOUND', 'The source is not known.']],
  },
]
