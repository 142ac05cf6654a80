/** Of several processes one reads a Synapse; the others ask nothing of it until that one is gone. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import { keepFollowing } from '../../../src/ingest/synapse/keep-following.ts'
import { LEASE_MS, makeReaderLease, ROUND_MS } from '../../../src/ingest/synapse/reader-lease.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { releaseSource, takeSource } from '../../../src/store/ingest/source-leases.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase, type FreshDatabase } from '../../support/postgres.ts'
import { limpetFor } from './limpet.ts'
import { synapseTables } from './tables.ts'

describe('the lease to read a Synapse', () => {
  let database: FreshDatabase
  let pool: Pool
  let stopping: AbortController
  let keeping: Promise<void>[]
  beforeEach(async () => {
    database = await freshDatabase()
    pool = openPool({ url: database.url })
    stopping = new AbortController()
    keeping = []
  })
  afterEach(async () => {
    stopping.abort()
    await Promise.all(keeping)
    await pool.end()
    await database.drop()
  })

  /** Time that goes by as it is told to: rounds begin when it does. */
  function process() {
    const mine = { source: 'synapse', holder: randomUUID() }
    const killed = new AbortController()
    let ahead = 0
    const rounds: (() => void)[] = []
    const taken: boolean[] = []
    const lease = makeReaderLease({
      take: (ms) => takeSource(pool, mine, ms),
      release: () => releaseSource(pool, mine),
      onTaken: (another) => taken.push(another),
      clock: {
        ...systemClock,
        monotonic: () => ahead,
        sleep: (_ms, signal) =>
          new Promise((resolve) => {
            rounds.push(resolve)
            signal?.addEventListener('abort', () => resolve())
          }),
      },
      log: pino({ level: 'silent' }),
    })
    const signal = AbortSignal.any([killed.signal, stopping.signal])
    keeping.push(lease.keep(signal))
    return {
      lease,
      taken,
      kill: () => killed.abort(),
      pass: (ms: number) => (ahead += ms),
      async round() {
        await until(() => rounds.length > 0, { what: 'a round to end' })
        rounds.shift()?.()
        await until(() => rounds.length > 0 || signal.aborted, { what: 'the next round to end' })
      },
      ready: () => until(() => rounds.length > 0, { what: 'a round to end' }),
    }
  }
  const later = (ms: number) =>
    pool.query(
      `insert into settings (key, value) values ('clock_offset_ms', $1) on conflict (key) do update set value = excluded.value`,
      [String(ms)],
    )

  it('is one process’s at a time, and the next one’s soon after it is killed', async () => {
    const first = process()
    await first.ready()
    const second = process()
    await second.ready()
    expect([first.lease.held(), second.lease.held()]).to.deep.equal([true, false])
    first.kill()
    await later(LEASE_MS - 1_000)
    await second.round()
    expect(second.lease.held()).to.equal(false)
    await later(LEASE_MS + ROUND_MS)
    await second.round()
    expect([second.lease.held(), second.taken]).to.deep.equal([true, [true]])
  })

  it('is the next one’s at its next round after an orderly stop', async () => {
    const first = process()
    await first.ready()
    const second = process()
    await second.ready()
    first.kill()
    await first.lease.release()
    const waiting = second.lease.wait(stopping.signal)
    await second.round()
    await waiting
    expect([first.lease.held(), second.lease.held()]).to.deep.equal([false, true])
  })

  it('is over for its holder before it is for others, whose round may be late', async () => {
    const first = process()
    await first.ready()
    first.pass(LEASE_MS - 400)
    expect(first.lease.held()).to.equal(false)
    const second = process()
    await second.ready()
    expect(second.lease.held()).to.equal(false)
  })

  it('that was given before the clock was set back holds nobody up', async () => {
    await later(3_600_000)
    const first = process()
    await first.ready()
    first.kill()
    await later(0)
    const second = process()
    await second.ready()
    expect(second.lease.held()).to.equal(true)
  })

  it('is given to others for a while by a process that cannot read, but not again and again', async () => {
    const first = process()
    await first.ready()
    first.pass(400_000)
    await first.round()
    await first.lease.giveWay()
    const second = process()
    await second.ready()
    await first.round()
    expect([first.lease.held(), second.lease.held()]).to.deep.equal([false, true])
    second.kill()
    await second.lease.release()
    first.pass(LEASE_MS * 2)
    await first.round()
    await first.lease.giveWay()
    expect(first.lease.held()).to.equal(true)
  })

  it('is given to others again at once where another one had read for a minute, though it is away just now', async () => {
    const first = process()
    await first.ready()
    await first.lease.giveWay()
    const second = process()
    await second.ready()
    for (const ms of [2 * LEASE_MS, 60_000]) {
      first.pass(ms)
      await first.round()
    }
    expect(first.lease.held()).to.equal(false)
    second.kill()
    await second.lease.release()
    for (const again of [1, 2]) {
      first.pass(2 * LEASE_MS)
      await first.round()
      expect(first.lease.held(), `taken ${again}`).to.equal(true)
      await first.lease.giveWay()
      expect(first.lease.held(), `given ${again}`).to.equal(false)
    }
    const third = process()
    await third.ready()
    expect(third.lease.held()).to.equal(true)
  })

  it('is given to others as long as it cannot be read, not the third time only', async () => {
    const stop = new AbortController()
    const given: number[] = []
    let failures = 0
    await keepFollowing(
      {
        check: () => Promise.resolve(),
        catchUp: () => {
          failures += 1
          if (failures === 6) stop.abort()
          return Promise.reject(new Error('away'))
        },
        halve: () => false,
        bell: { wait: () => Promise.resolve() },
        lease: { giveWay: () => Promise.resolve(void given.push(failures)) },
        ...{ progress: undefined, pollMs: 0, log: pino({ level: 'silent' }) },
        clock: { ...systemClock, sleep: () => Promise.resolve() },
      },
      stop.signal,
    )
    expect(given).to.deep.equal([3, 4, 5, 6])
  })

  it('keeps a source that does not have it from asking Synapse anything but who it is', async () => {
    const synapse = await synapseTables()
    const theirs = openPool({ url: synapse.url })
    let asked = 0
    theirs.on('acquire', () => (asked += 1))
    const limpet = limpetFor(theirs)
    let held = false
    let go: () => void = () => undefined
    const waited: number[] = []
    const lease = {
      held: () => held,
      giveWay: () => Promise.resolve(),
      wait: (signal: AbortSignal) =>
        new Promise<void>((resolve) => {
          waited.push(asked)
          go = resolve
          signal.addEventListener('abort', () => resolve())
        }),
    }
    const following = limpet.follow({ lease })
    try {
      await synapse.finishedUpTo(3)
      await until(() => waited.length === 1, { what: 'it to stand by' })
      expect([waited, limpet.token()]).to.deep.equal([[2], null])
      held = true
      go()
      await limpet.reaches(3)
    } finally {
      await following.stop()
      await theirs.end()
      await synapse.close()
    }
  })
})
