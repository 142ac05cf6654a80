/** What is asked of the queues on PostgreSQL alone: few connections, and deadlocks that nobody notices. */
import { expect } from 'chai'
import { pino } from 'pino'
import { openPool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { startRoughProxy } from '../support/rough-proxy.ts'
import { BACKENDS } from './places.ts'
import { isIdle, makeStage, type Stage } from './stage.ts'

describe('many jobs of a queue on PostgreSQL that end at once', () => {
  const JOBS = 200
  // A statement takes more than a tenth of a second, so all of them take longer than the pool lets anybody wait.
  const SLOW_MS = 60

  it('all end, and nobody says that one has failed or was lost', async function () {
    const [postgres] = BACKENDS
    const place = await postgres!.shared(this)
    const url = new URL(place.config.kind === 'postgres' ? place.config.url : '')
    const proxy = await startRoughProxy()
    proxy.forwardTo(Number(url.port))
    url.port = String(proxy.port)
    const said: string[] = []
    const write = (line: string) => void said.push(line)
    const stage = await makeStage(
      { ...place, config: { kind: 'postgres', url: url.href } },
      pino({}, { write }),
    )
    try {
      let active = 0
      let ended = 0
      let endAll: () => void = () => undefined
      const end = new Promise<void>((resolve) => (endAll = resolve))
      const turn = async () => {
        active += 1
        await end
        ended += 1
        return { again: false }
      }
      await stage.work({ turn, concurrency: { delivery: 2 * JOBS, recovery: 1 } })
      const names = Array.from({ length: JOBS }, (_, n) => `d${n}.example`)
      await stage.wake(names.map((destination) => ({ destination, queue: 'delivery' as const })))
      await until(() => active === JOBS, { what: 'all jobs to be active' })
      proxy.slow(() => SLOW_MS)
      endAll()
      await until(() => isIdle(stage.queues), { what: 'all jobs to be done' })
      expect(ended, 'each once').to.equal(JOBS)
      expect(said).to.deep.equal([])
    } finally {
      proxy.slow(() => 0)
      await stage.close()
      await proxy.close()
      await place.remove()
    }
  })
})

describe('queues on PostgreSQL, as guests of the database', () => {
  let stage: Stage
  let pool: ReturnType<typeof openPool>
  beforeEach(async function () {
    const [postgres] = BACKENDS
    stage = await makeStage(await postgres!.shared(this))
    const { config } = stage.place
    pool = openPool({ url: config.kind === 'postgres' ? config.url : '', max: 2 })
  })
  afterEach(async () => {
    await pool.end()
    await stage.close()
    await stage.place.remove()
  })

  it('takes at most six connections a process, under load as well', async () => {
    let most = 0
    const turn = async () => {
      const { rows } = await pool.query<{ n: number }>(
        `select count(*) as n from pg_stat_activity
          where application_name = 'limpet-queue' and datname = current_database()`,
      )
      most = Math.max(most, rows[0]?.n ?? 0)
      return { again: false }
    }
    await stage.work({ turn, concurrency: { delivery: 100, recovery: 100 } })
    await Promise.all(
      Array.from({ length: 300 }, (_, n) =>
        stage.wake([{ destination: `d${n}.example`, queue: n % 2 ? 'delivery' : 'recovery' }]),
      ),
    )
    await until(() => isIdle(stage.queues), { what: 'all jobs to be done' })
    // Two backends: the one that adds, without a worker and so without a LISTEN, and the one that works.
    expect(most).to.be.within(2, 11)
  })

  it('adds the job all the same when PostgreSQL ends a deadlock by refusing it', async () => {
    const client = await pool.connect()
    try {
      // The wake holds the advisory lock of its deduplication id and waits for the table; we hold the table and want
      // that lock. The one that has waited for deadlock_timeout is the victim, and that is not us.
      await client.query(`set deadlock_timeout = '30s'`)
      await client.query('begin')
      await client.query('set local idle_in_transaction_session_timeout = 0')
      await client.query('lock table limpet_queue.job in access exclusive mode')
      const wake = stage.queues.wake([{ destination: 'a.example', queue: 'delivery' }])
      await until(
        async () => {
          const { rows } = await pool.query(
            `select 1 from pg_stat_activity where application_name = 'limpet-queue' and wait_event_type = 'Lock'
              and datname = current_database()`,
          )
          return rows.length > 0
        },
        { what: 'the wake to wait for the table' },
      )
      await client.query(`select pg_advisory_xact_lock(hashtext('bullmq:dedup:delivery:a.example'))`)
      await client.query('rollback')
      // The deadlock alone takes one of the two seconds after which nobody waits for a call; the job comes all the same.
      await wake.catch((error: unknown) => expect(String(error)).to.include('no answer within'))
    } finally {
      client.release(true)
    }
    await until(async () => (await stage.counts())['delivery']?.['waiting'] === 1, { what: 'the job' })
  })
})
