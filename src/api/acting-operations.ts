/** The calls with which operators act (contract, section 4). Each is recorded under the name of the token. */
import { z } from 'zod'
import { unknownServer } from './admin-operations.ts'
import {
  acted,
  actedOnMany,
  actionRequest,
  blockRequest,
  concerned,
  skippedAnswer,
  skipRequest,
} from './operator-shapes.ts'
import { empty } from './ingest-shapes.ts'
import type { Operation, DescribedRefusal } from './operation.ts'
import { yesOrNo } from './page-query.ts'

const act = { method: 'POST', group: 'Acting', access: ['admin'] } as const
const OF = '/v1/destinations/{server}'

const CANNOT_TRY: readonly DescribedRefusal[] = [
  [409, 'M_LIMPET_PAUSED', 'It is paused.'],
  [409, 'M_LIMPET_BLOCKED', 'Nothing is sent to it.'],
  [409, 'M_LIMPET_HELD', 'It asked for no requests before some time.'],
]
const unknownItem: DescribedRefusal = [404, 'M_NOT_FOUND', 'Nothing of that id is set aside for it.']

export const ACTING: readonly Operation[] = [
  {
    ...{ ...act, path: `${OF}/wake`, name: 'wake' },
    about: 'Tries now. Its backoff stays if that fails.',
    answer: { status: 200, json: acted },
    refusals: [unknownServer, ...CANNOT_TRY],
  },
  {
    ...{ ...act, path: `${OF}/reset`, name: 'reset' },
    about: 'Forgets its failures, 429 and 410 included, and tries now.',
    answer: { status: 200, json: acted },
    refusals: [unknownServer],
  },
  {
    ...{ ...act, path: `${OF}/pause`, name: 'pause' },
    about: 'Stops sending to it. What is owed is kept.',
    answer: { status: 200, json: acted },
    refusals: [unknownServer],
  },
  {
    ...{ ...act, path: `${OF}/resume`, name: 'resume' },
    about: 'Sends to it again.',
    answer: { status: 200, json: acted },
    refusals: [unknownServer],
  },
  {
    ...{ ...act, path: `${OF}/skip`, name: 'skip' },
    about: 'Gives up what is owed to it up to now.',
    body: { required: false, json: skipRequest },
    answer: { status: 200, json: skippedAnswer },
    refusals: [unknownServer],
  },
  {
    ...{ ...act, path: `${OF}/quarantine/{id}/retry`, name: 'retryQuarantined' },
    about: 'Tries what is set aside, or a held room, now.',
    answer: { status: 200, json: acted },
    refusals: [unknownItem, ...CANNOT_TRY],
  },
  {
    ...{ ...act, path: `${OF}/quarantine/{id}/drop`, name: 'dropQuarantined' },
    about: 'Gives up what is set aside; of a room all that was refused of it.',
    answer: { status: 200, json: acted },
    refusals: [unknownItem],
  },
  {
    ...{ ...act, path: '/v1/actions', name: 'actOnMany' },
    about: 'Does the same to all destinations whose names a glob matches.',
    more: 'Pause and resume are done at once. The others are carried out at `federation.ramp_per_second`, also after a crash.',
    body: { required: true, json: actionRequest },
    answer: { status: 200, json: actedOnMany },
    refusals: [[404, 'M_NOT_FOUND', 'The glob matches no destination.']],
  },
  {
    ...{ ...act, path: '/v1/blocks', name: 'block' },
    about: 'Has nothing sent to the servers of a name or glob, in every process within two seconds.',
    body: { required: true, json: blockRequest },
    answer: { status: 200, json: empty, or: concerned },
  },
  {
    ...{ ...act, method: 'DELETE', path: '/v1/blocks', name: 'unblock' },
    about: 'Takes a block away.',
    query: {
      glob: z.string().min(1).max(255).describe('As the list has it.'),
      dry_run: yesOrNo.optional().describe('true: only lists whom it concerns.'),
    },
    answer: { status: 200, json: empty, or: concerned },
    refusals: [[404, 'M_NOT_FOUND', 'There is no such block.']],
  },
  {
    ...{ ...act, path: '/v1/sources/{name}/continue', name: 'continueSource' },
    about: "Goes on reading a source after its homeserver's database was restored.",
    answer: { status: 200, json: empty },
    refusals: [
      [404, 'M_NOT_FOUND', 'The source is not known.'],
      [409, 'M_LIMPET_NOT_RESTORED', 'It was not restored.'],
    ],
  },
]
