/** A turn that hands its destination over to whoever follows it. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { makeBatcher } from '../../src/batcher.ts'
import { makeTurn, type TurnNeeds } from '../../src/deliver/turn.ts'
import { makeGate } from '../../src/gate.ts'
import { makeLog } from '../../src/observe/log.ts'
import { writeAttemptResults } from '../../src/store/attempt-results.ts'
import { openPool } from '../../src/store/db.ts'
import { registerWorker } from '../../src/store/leases.ts'
import { freezeTransactions } from '../../src/store/open-transactions.ts'
import { freshDatabase } from '../support/postgres.ts'

const NAME = 'b.example'

describe('a turn that hands its destination over', () => {
  // Otherwise its destination was given back as abandoned while it was still being served.
  it('leaves it to whoever follows it to say when it is free, even if that one has left it again already', async () => {
    const pool = openPool({ url: (await freshDatabase()).url, max: 4 })
    const id = randomUUID()
    await registerWorker(pool, { id, name: 'w', leaseMs: 600_000 })
    await pool.query(`insert into destinations (id, name, position, created_at) values (1, $1, 0, 0)`, [NAME])
    await pool.query('insert into memberships (room, destination, since) values (1, 1, 0)')
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts) values (1, 1, '$1', '@a:a', '{}', 0)`,
    )
    await pool.query('update stream set head = 1')
    const lease = { id, signal: new AbortController().signal, stillHeld: () => true }
    const running = new Set<string>()
    const needs: TurnNeeds = {
      ...{ pool, running, random: () => 0.5, log: makeLog({ level: 'silent', pretty: false }) },
      clock: { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
      send: () => Promise.resolve({ kind: 'answered', pdus: null, durationMs: 1 }),
      ...{ place: makeGate(8), origin: 'home.example', maxPdus: 50, maxBodyBytes: 1_000_000 },
      ...{ requestTimeoutMs: 60_000, catchUp: { threshold_pdus: 500, min_age_ms: 300_000 } },
      backoff: { first_ms: 1_000, multiplier: 2, max_ms: 60_000, jitter: 0 },
      results: makeBatcher({ run: (rows) => writeAttemptResults(pool, rows), maxWeight: 1 }),
      freeze: makeBatcher({ run: (rows) => freezeTransactions(pool, rows), maxWeight: 1 }),
      ...{ onLapsed: () => undefined, onAttempt: () => undefined, stopping: new AbortController().signal },
      lease: { next: () => Promise.resolve(lease), over: () => undefined },
      follow: {
        ...{ has: () => false, mayBegin: () => true, begin: () => Promise.resolve(true) },
        lookAgain: () => undefined,
      },
    }
    await makeTurn(needs)(NAME, new AbortController().signal)
    expect([...running]).to.deep.equal([NAME])
    await makeTurn({ ...needs, follow: null })('nobody.example', new AbortController().signal)
    expect([...running]).to.deep.equal([NAME])
    await pool.end()
  })
})
