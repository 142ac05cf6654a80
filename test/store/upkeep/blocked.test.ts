/** The sweep leaves alone those that the configuration blocks, and brings them back when they are allowed again. */
import { expect } from 'chai'
import { makeVetDomain, type VetDomain } from '../../../src/allow/domains.ts'
import { makeSweep } from '../../../src/deliver/wake/sweep.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import { findDue, findForgotten, putAside } from '../../../src/store/delivery/wake-lists.ts'
import { makeSituation, type Situation } from '../views/situation.ts'

const [BLOCKED, OPEN] = ['a.blocked.example', 'open.example']

describe('a sweep over destinations that are blocked', () => {
  let s: Situation
  before(async () => (s = await makeSituation()))
  beforeEach(async () => {
    await s.reset()
    for (const name of [BLOCKED, OPEN]) {
      await s.server(name)
      await s.member(name, 'a')
    }
    await s.event(1, 'a')
  })
  after(() => s.close())

  const sweep = (vetDomain: VetDomain | null) =>
    makeSweep({
      pool: s.pool,
      clock: systemClock,
      vetDomain,
      ...{ nudgeFanout: () => Promise.resolve(), onLapsed: () => undefined },
      ...{ backoff: { first_ms: 5_000, max_ms: 60_000, multiplier: 2, jitter: 0.2 }, attemptsMs: 60_000 },
      log: makeLog({ level: 'silent', pretty: false }),
    })()
  const due = async () => (await findDue(s.pool, 9)).map(({ name }) => name).toSorted()
  const only = makeVetDomain({ allowlist: ['open.example'], denylist: [] })

  it('does not make them due, counts what they are owed, and has them due once they are allowed', async () => {
    for (let n = 0; n < 3; n++) await sweep(only)
    expect(await due()).to.deep.equal([OPEN])
    expect(await findForgotten(s.pool, 9)).to.deep.equal([OPEN])
    const { rows } = await s.pool.query('select pending_pdus from destinations where name = $1', [BLOCKED])
    expect(rows).to.deep.equal([{ pending_pdus: 1 }])
    await sweep(null)
    expect(await due()).to.deep.equal([BLOCKED, OPEN])
  })

  it('brings back those that were put aside while they failed', async () => {
    await s.change(BLOCKED, { failures: 3, retry_at: Date.now() + 60_000, look_at: 5, missed: 2 })
    expect(await putAside(s.pool, [BLOCKED])).to.equal(1)
    await sweep(only)
    expect(await due()).to.deep.equal([OPEN])
    await sweep(null)
    expect(await due()).to.deep.equal([BLOCKED, OPEN])
  })

  it('leaves with its holder one that is held', async () => {
    await s.open(BLOCKED, { positions: [1], lanes: 't' }, 'held')
    await s.change(BLOCKED, { look_at: 5 })
    expect(await putAside(s.pool, [BLOCKED])).to.equal(0)
  })
})
