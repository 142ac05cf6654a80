/** What an attempt came to, as tests of the store write it down. */
import type { Held } from '../../src/store/delivery/leases.ts'
import type { AttemptResult } from '../../src/store/delivery/results.ts'

const NO_WAITS: AttemptResult['waiting'] = {
  ...{ failures: 0, failingSince: null, retryAt: null, retryInterval: null, holdKind: null, holdUntil: null },
  ...{ adviceAt: null, adviceUp: false, adviceAfter: null, adviceStep: null, askedAt: null },
  ...{ deadlineAt: null, triedAt: null, deadlineTries: [] },
}

export const answeredResult = (held: Held): AttemptResult => ({
  held,
  ...{ txnId: 't', startedAt: 1, durationMs: 5, outcome: 'answered', status: 200, message: null },
  acknowledges: {
    ...{ positions: [1], lanes: 't', eventIds: [], fromPos: 0, toPos: 1 },
    ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
  },
  ...{ errorKind: null, answered: true, discard: false, waiting: NO_WAITS, timeoutMs: null },
  ...{ quick: true, lists: true, pduErrors: null, unlisted: [], isolation: null },
})

export const failedResult = (held: Held): AttemptResult => ({
  ...answeredResult(held),
  ...{ outcome: 'failed', status: null, message: 'refused', errorKind: 'connect' },
  ...{ answered: false, discard: true },
  waiting: { ...NO_WAITS, failures: 1, failingSince: 1, retryAt: 9, retryInterval: 8 },
})
