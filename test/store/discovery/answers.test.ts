/** The shared table of discovery's answers, on PostgreSQL: who looks up, whose answer stays, how old it is. */
import { expect } from 'chai'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { forgetOldAnswers, makeAnswers } from '../../../src/store/discovery/answers.ts'
import type { SharedAnswers, StoredAnswer } from '../../../src/pace/shared-answers.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'

const ids = [1, 2, 3].map((n) => `00000000-0000-4000-8000-00000000000${n}`)
const HOUR = 3_600_000

const answer = (text: string, more: Partial<StoredAnswer> = {}): StoredAnswer => ({
  ...{ text, ageMs: 0, refreshMs: HOUR / 2, freshMs: HOUR, keepMs: 48 * HOUR, failures: 0 },
  ...more,
})

describe('the shared table of answers', () => {
  let pool: Pool
  let one: SharedAnswers, other: SharedAnswers, third: SharedAnswers
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 16 })
    ;[one, other, third] = ids.map((id) => makeAnswers(pool, id)) as [
      SharedAnswers,
      SharedAnswers,
      SharedAnswers,
    ]
  })
  afterEach(() => pool.end())

  const claim = async (process: SharedAnswers, key = 'a', anew = false) => {
    const { claim: told, stored } = await process.claim(key, anew)
    return stored === null ? told : `${told}, ${stored.text}`
  }
  const pass = (ms: number) =>
    pool.query(
      `insert into settings (key, value) values ('clock_offset_ms', $1) on conflict (key) do update set value = (settings.value::bigint + $1::bigint)::text`,
      [String(ms)],
    )
  const row = async (key = 'a') =>
    (
      await pool.query<Record<string, unknown>>(
        'select answer, claimed_by, claimed_until, xmin::text, xmax::text from discovered where key = $1',
        [key],
      )
    ).rows[0]

  it('has one process look up, and gives its answer to the others', async () => {
    expect(await claim(one)).to.equal('ours')
    expect(await claim(one), 'once more by the same process').to.equal('ours')
    expect(await claim(other)).to.equal('theirs')
    await one.store('a', answer('1'))
    expect(await claim(other)).to.equal('not needed, 1')
    expect(await claim(other, 'b')).to.equal('ours')
  })

  it('gives the times and failures back as they were', async () => {
    const told = answer('1', { ageMs: 1000, refreshMs: 1234.5, freshMs: 2.5e6, keepMs: 1e8, failures: 3 })
    await one.store('a', told)
    const { stored } = await other.claim('a', false)
    expect(stored).to.include({ ...told, ageMs: stored?.ageMs })
    expect(stored?.ageMs).to.be.within(999, 60_000)
  })

  it('has what is due looked up by one process, while the others are told what there was', async () => {
    await one.store('a', answer('1', { ageMs: 0.6 * HOUR }))
    expect(await claim(one)).to.equal('ours, 1')
    expect(await claim(other)).to.equal('theirs, 1')
  })

  it('counts ages by its own clock', async () => {
    await one.store('a', answer('1'))
    await pass(0.6 * HOUR)
    const { claim: told, stored } = await other.claim('a', false)
    expect(told).to.equal('ours')
    expect(stored?.ageMs).to.be.within(0.6 * HOUR, 0.6 * HOUR + 60_000)
  })

  it('gives a claim away that ran out, and not before', async () => {
    await claim(one)
    await pass(10_000)
    expect(await claim(other)).to.equal('theirs')
    await pass(10_000)
    expect(await claim(other)).to.equal('ours')
    expect(await claim(one)).to.equal('theirs')
  })

  it('leaves the claim of another process alone when an answer comes late, and its answer too', async () => {
    await claim(one)
    await pass(21_000)
    expect(await claim(other)).to.equal('ours')
    await one.store('a', answer('late'))
    expect(await claim(third, 'a', true), 'the other still looks it up').to.equal('theirs, late')
    await other.store('a', answer('2'))
    await one.store('a', answer('older', { ageMs: 1000 }))
    expect(await claim(third)).to.equal('not needed, 2')
  })

  it('lets one process ask anew, whatever is stored', async () => {
    await one.store('a', answer('1'))
    expect(await claim(other, 'a', true)).to.equal('ours, 1')
    expect(await claim(third, 'a', true)).to.equal('theirs, 1')
    expect(await claim(third), 'who does not ask anew does not wait').to.equal('not needed, 1')
    await other.store('a', answer('2'))
    expect(await claim(third)).to.equal('not needed, 2')
  })

  it('keeps the younger answer, and ends the claim of whoever brought an older one', async () => {
    await one.store('a', answer('1'))
    expect(await claim(other, 'a', true)).to.equal('ours, 1')
    await other.store('a', answer('older', { ageMs: HOUR }))
    expect(await claim(third, 'a', true)).to.equal('ours, 1')
  })

  it('ends a claim that is let go, if it is ours', async () => {
    await claim(one)
    await other.letGo('a')
    expect(await claim(third)).to.equal('theirs')
    await one.letGo('a')
    expect(await claim(third)).to.equal('ours')
  })

  it('trusts no answer from the future, and replaces it: the clock was set back', async () => {
    await one.store('a', answer('1'))
    await pass(-2 * HOUR)
    expect(await claim(other)).to.equal('ours, 1')
    await other.store('a', answer('2'))
    expect(await claim(third)).to.equal('not needed, 2')
  })

  it('writes nothing where nothing is to be looked up by us', async () => {
    await one.store('a', answer('1'))
    await claim(one, 'b')
    const before = [await row('a'), await row('b')]
    expect(await claim(other, 'a')).to.equal('not needed, 1')
    expect(await claim(other, 'b')).to.equal('theirs')
    expect([await row('a'), await row('b')]).to.deep.equal(before)
  })

  it('gives a key that many ask for in the same moment to one of them', async () => {
    const processes = Array.from({ length: 12 }, (_, n) =>
      makeAnswers(pool, `00000000-0000-4000-8000-0000000001${10 + n}`),
    )
    for (let round = 0; round < 30; round++) {
      const told = await Promise.all(processes.map((process) => claim(process, `k${round}`)))
      expect(told.toSorted()).to.deep.equal(['ours', ...Array<string>(11).fill('theirs')])
    }
  })

  it('tells a process whose insert met that of another that the other does it', async () => {
    const client = await pool.connect()
    await client.query('begin')
    expect(await claim(makeAnswers(client, ids[0]!))).to.equal('ours')
    const waiting = claim(other)
    await until(
      async () =>
        (
          await pool.query(
            `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          )
        ).rowCount === 1,
      { what: 'the other to wait for the row' },
    )
    await client.query('commit')
    client.release()
    expect(await waiting).to.equal('theirs')
  })

  it('has no deadlock, however crosswise keys are claimed, stored and let go', async () => {
    const keys = Array.from({ length: 10 }, (_, n) => `k${n}`)
    const processes = [one, other, third]
    const jobs = Array.from({ length: 600 }, (_, n) => async () => {
      const process = processes[n % 3]!
      const key = keys[(n % 2 === 0 ? n : 600 - n) % keys.length]!
      if ((await process.claim(key, n % 5 === 0)).claim !== 'ours') return
      if (n % 4 === 0) await process.letGo(key)
      else await process.store(key, answer(String(n), { ageMs: n % 3 }))
    })
    await Promise.all([...jobs.map((job) => job()), forgetOldAnswers(pool)])
    const { rowCount } = await pool.query('select from discovered')
    expect(rowCount).to.equal(10)
  })

  describe('forgets', () => {
    it('what nobody may use any more, and neither what may serve nor what is being looked up', async () => {
      await one.store('old', answer('1', { ageMs: 48 * HOUR + 1000 }))
      await one.store('kept', answer('1', { ageMs: 47 * HOUR }))
      await one.store('asked', answer('1', { ageMs: 50 * HOUR }))
      await claim(one, 'asked')
      await claim(one, 'new')
      await claim(one, 'let go')
      await one.letGo('let go')
      await forgetOldAnswers(pool)
      const { rows } = await pool.query<{ key: string }>('select key from discovered order by key')
      expect(rows.map(({ key }) => key)).to.deep.equal(['asked', 'kept', 'new'])
    })

    it('nothing that was stored in the moment in which it was chosen', async () => {
      await one.store('a', answer('old', { ageMs: 50 * HOUR }))
      const client = await pool.connect()
      await client.query('begin')
      await makeAnswers(client, ids[0]!).store('a', answer('new'))
      const forgetting = forgetOldAnswers(pool)
      await until(
        async () =>
          (
            await pool.query(
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
            )
          ).rowCount === 1,
        { what: 'the delete to wait for the row' },
      )
      await client.query('commit')
      client.release()
      await forgetting
      expect(await claim(other)).to.equal('not needed, new')
    })
  })
})
