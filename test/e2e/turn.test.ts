/** Which turn has a destination, where several of one process could. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { makeBatcher } from '../../src/pace/batcher.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { makeSharedBodies } from '../../src/deliver/shared-bodies.ts'
import { makeTogether } from '../../src/deliver/together.ts'
import { makeTurn, type TurnNeeds } from '../../src/deliver/turn.ts'
import { AT_ONCE } from '../../src/pace/spare.ts'
import { FOUND } from '../../src/deliver/find.ts'
import { makeGate } from '../../src/pace/gate.ts'
import { NOBODY_BLOCKED } from '../support/nobody-blocked.ts'
import { placesFor } from '../support/places.ts'
import { reachable } from '../support/reachable.ts'
import { makeLog } from '../../src/observe/log.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { registerWorker } from '../../src/store/delivery/leases.ts'
import { acknowledgeAndFreeze, type Beginning } from '../../src/store/delivery/acknowledge-and-freeze.ts'
import { findDue } from '../../src/store/delivery/wake-lists.ts'
import { freshDatabase } from '../support/postgres.ts'

const NAME = 'b.example'

describe('a turn', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
    await pool.query(`insert into destinations (id, name, position, created_at) values (1, $1, 0, 0)`, [NAME])
  })
  afterEach(() => pool.end())

  /** One event. */
  async function owe(): Promise<void> {
    await pool.query('insert into memberships (room, destination, since) values (1, 1, 0)')
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts) values (1, 1, '$1', '@a:a', '{}', 0)`,
    )
    await pool.query('update stream set head = 1')
  }

  function needsWith(more: Partial<TurnNeeds>): TurnNeeds {
    const lease = { id: randomUUID(), signal: new AbortController().signal, stillHeld: () => true }
    return {
      ...{ pool, running: new Set(), random: () => 0.5, log: makeLog({ level: 'silent', pretty: false }) },
      clock: { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
      ...reachable(() => Promise.resolve({ kind: 'answered', pdus: null, durationMs: 1 })),
      ...{
        origin: 'home.example',
        maxPdus: 50,
        maxBodyBytes: 1_000_000,
      },
      ...{ requestTimeoutMs: 60_000, catchUp: { threshold_pdus: 500, min_age_ms: 300_000 } },
      farLooks: makeGate(9),
      firstLooks: makeGate(9),
      spare: AT_ONCE,
      find: FOUND,
      blocking: NOBODY_BLOCKED,
      edus: { maxEdus: 100, off: new Set(), durableMs: 30 * 86_400_000 },
      ...placesFor(8),
      deadline: { deadline_retries: true, deadline_retry_min_ms: 30_000, long_outage_ms: 3_600_000 },
      backoff: { first_ms: 1_000, multiplier: 2, max_ms: 60_000, jitter: 0, dead_after_ms: 30 * 86_400_000 },
      ...makeTogether(pool, 1),
      bodyOf: makeSharedBodies({ origin: 'home.example', clock: systemClock }),
      ...{ onLapsed: () => undefined, onAttempt: () => undefined, stopping: new AbortController().signal },
      lease: {
        next: async () => {
          await registerWorker(pool, { id: lease.id, name: 'w', leaseMs: 600_000 })
          return lease
        },
        over: () => undefined,
      },
      follow: null,
      ...more,
    }
  }

  // Otherwise its destination was given back as abandoned while it was still being served.
  it('that hands its destination over leaves it to its follower to say when it is free, even if that one has left it already', async () => {
    await owe()
    const follow = {
      ...{ has: () => false, mayBegin: () => true, begin: () => Promise.resolve(true) },
      woken: () => undefined,
    }
    const running = new Set<string>()
    await makeTurn(needsWith({ running, follow }))(NAME, new AbortController().signal)
    expect([...running]).to.deep.equal([NAME])
    await makeTurn(needsWith({ running }))('nobody.example', new AbortController().signal)
    expect([...running]).to.deep.equal([NAME])
  })

  // It was asked again at once, and wrote a wish each time, for as long as the old turn waited for its answer.
  it('that finds an old turn of this process which holds the destination no more comes again after a moment', async () => {
    const slept: number[] = []
    const sleep = (ms: number) => {
      slept.push(ms)
      return Promise.resolve()
    }
    const clock = { now: () => 0, monotonic: () => 0, sleep }
    const turn = makeTurn(needsWith({ running: new Set([NAME]), clock }))
    expect(await turn(NAME, new AbortController().signal)).to.deep.equal({ again: true })
    expect(slept).to.deep.equal([50])
  })

  // A database that took six seconds to commit made the wait after the attempt six seconds shorter.
  it('counts the wait after a failure from its end, also where its beginning took long to be written', async () => {
    await owe()
    let time = 0
    const freeze = makeBatcher({
      run: async (rows: Beginning[]) => {
        const frozen = await acknowledgeAndFreeze(pool, rows)
        time += 6_000
        return frozen
      },
      maxWeight: 1,
    })
    const failed = { status: null, errcode: null, retryAfterMs: null, message: 'no answer', handed: true }
    const clock = { now: () => time, monotonic: () => time, sleep: () => Promise.resolve() }
    const send = () =>
      Promise.resolve({ kind: 'failed', stage: 'timeout', durationMs: 1_000, ...failed } as const)
    await makeTurn(needsWith({ clock, freeze, ...reachable(send) }))(NAME, new AbortController().signal)
    const { rows } = await pool.query(
      'select d.retry_at - o.started_at as wait from destinations d join open_transactions o on o.destination = d.id',
    )
    expect(rows).to.deep.equal([{ wait: 6_000 + 1_000 + 1_000 }])
  })

  it('for each of 1,000 that fail, and are owed nothing, connects to none of them', async () => {
    await pool.query(
      `insert into destinations (id, name, position, created_at, failures, failing_since, retry_at, retry_interval, look_at)
       select 100 + i, 'dead' || i || '.example', case when i % 2 = 0 then 0 else 9 end, 0, 3, 0, 1, 1000, 1 from generate_series(1, 1000) i`,
    )
    // What they missed was for others.
    await pool.query('insert into memberships (room, destination, since) values (1, 1, 0)')
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts) select i, 1, 'e' || i, '@a:a', '{}', 0 from generate_series(1, 100) i`,
    )
    await pool.query('update stream set head = 100')
    let connected = 0
    const connect = () => {
      connected += 1
      return Promise.reject(new Error('nobody is there'))
    }
    const id = randomUUID()
    await registerWorker(pool, { id, name: 'w', leaseMs: 600_000 })
    const lease = { id, signal: new AbortController().signal, stillHeld: () => true }
    const keeper = { next: () => Promise.resolve(lease), over: () => undefined }
    const turn = makeTurn(needsWith({ connect, isConnected: () => false, lease: keeper }))
    const due = await findDue(pool, 2_000)
    expect(due).to.have.length(1_000)
    for (const { name } of due) await turn(name, lease.signal)
    expect(connected).to.equal(0)
    expect(await findDue(pool, 2_000), 'and has done with them').to.deep.equal([])
  })
})
