import { adviseUp } from '../../../src/store/ingest/advice.ts'
import { writeAttemptResults, type AttemptResult } from '../../../src/store/delivery/results.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import type { StoredAcknowledges } from '../../../src/store/delivery/destination.ts'
import { countBacklogs } from '../../../src/store/upkeep/count-backlogs.ts'
import { registerWorker, retireWorker } from '../../../src/store/delivery/leases.ts'
import { lockDestinations } from '../../../src/store/ingest/lock-destinations.ts'
import { freezeTransactions, type Frozen } from '../../support/freeze.ts'
import { holdTransaction } from '../../support/hold.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { until } from '../../support/poll.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'

// A sweep that counted while transactions were frozen came to a deadlock: a second's halt for everybody in the
// batch. What locks several destinations does so in the order of their ids.
describe('statements about several destinations lock them in one order', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
    await registerWorker(pool, { id: WORKER, name: 'w', leaseMs: 3_600_000 })
    await pool.query(
      `insert into destinations (id, name, position, created_at, lease_owner, fence, pending_pdus, failures)
       select id, id || '.example', 0, 0, $1, 1, 9, 1 from unnest(array[2, 1]) id`,
      [WORKER],
    )
  })
  afterEach(() => pool.end())

  const held = (destination: number) => ({ worker: WORKER, destination, fence: 1 })
  const acknowledges: StoredAcknowledges = {
    positions: [],
    lanes: '',
    eventIds: [],
    fromPos: 0,
    toPos: 0,
    gap: null,
    gapCursor: null,
    closesGap: false,
    sticky: [],
  }
  const frozen = (id: number): Frozen => ({
    held: held(id),
    txnId: `txn${id}`,
    bytes: 2,
    originServerTs: 0,
    acknowledges,
    readAt: 0,
    narrowedSeq: 0,
    soonestLapse: null,
    edusAs: null,
  })
  const result = (id: number): AttemptResult => ({
    ...{ held: held(id), txnId: `txn${id}`, startedAt: 0, durationMs: 1, outcome: 'answered', status: 200 },
    ...{ message: null, errorKind: null, acknowledges, answered: true, discard: false, timeoutMs: null },
    ...{ quick: true, lists: true, pduErrors: null, unlisted: [], isolation: null },
    waiting: {
      ...{ failures: 0, failingSince: null, retryAt: null, retryInterval: null, holdKind: null },
      ...{ holdUntil: null, adviceAt: null, adviceUp: false, adviceAfter: null, adviceStep: null },
      ...{ askedAt: null, deadlineAt: null, triedAt: null, deadlineTries: [] },
    },
  })
  const statements: Record<string, () => Promise<unknown>> = {
    'freezing transactions': () => freezeTransactions(pool, [frozen(2), frozen(1)]),
    'writing results': () => writeAttemptResults(pool, [result(2), result(1)]),
    'counting backlogs': () => countBacklogs(pool, [1, 2]),
    'advice that servers are up': () => adviseUp(pool, [2, 1], { random: () => 0, up: true }),
    'locking what items concern': () =>
      lockDestinations(pool, { advised: [2, 1], rooms: [], purged: [], losing: [] }),
    'giving back a lease': () => retireWorker(pool, WORKER),
  }

  for (const [what, run] of Object.entries(statements)) {
    it(what, async () => {
      const other = await holdTransaction(pool)
      await other.query('select from destinations where id = 1 for update')
      const done = run()
      try {
        await until(
          async () =>
            (
              await pool.query(
                `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
              )
            ).rowCount === 1,
          { what: `${what} to wait for the first` },
        )
        // Fails at once if the statement that waits for the first has the second already.
        await other.query('select from destinations where id = 2 for update nowait')
      } finally {
        await other.query('rollback')
        other.release()
        await done
      }
    })
  }
})
