/** An operator's action on all whose names a glob matches: whom it means, who is left out, and in which time it is carried out. */
import { expect } from 'chai'
import { makeVetDomain } from '../../../src/allow/domains.ts'
import { carryOutPlanned } from '../../../src/store/delivery/planned-acts.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const NAMES = ['a.example.org', 'B.Example.Org:8448', 'c.example.org:1', 'example.org', 'other.example']
const ORG = NAMES.slice(0, 3)
const NONE = { blocked: 0, paused: 0, held: 0 }

describe('an action by glob', () => {
  let s: Situation
  let app: AdminApp
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
  })
  beforeEach(async () => {
    await s.reset()
    for (const name of NAMES) await s.server(name)
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const act = (body: object, token?: string) => app.post('/v1/actions', token, body)
  const those = async (condition: string) =>
    (await s.pool.query<{ name: string }>(`select name from destinations where ${condition}`)).rows
      .map(({ name }) => name)
      .toSorted()
  const acts = async () =>
    (await s.pool.query<{ matched: number }>('select who, action, target, matched from audit order by id'))
      .rows
  const planned = async () =>
    (
      await s.pool.query<{ name: string; action: string; after: number }>(
        `select d.name, p.action, p.due_at - min(p.due_at) over () as after
           from planned_acts p join destinations d on d.id = p.destination order by p.due_at, d.id`,
      )
    ).rows

  it('means those below a name and not the name itself, whatever their ports and the case', async () => {
    const { status, body } = await act({ action: 'pause', glob: '*.EXAMPLE.org' })
    expect([status, body]).to.deep.equal([
      200,
      {
        matched: 3,
        names: ['B.Example.Org:8448', 'a.example.org', 'c.example.org:1'].toSorted(),
        blocked: 0,
        left_out: NONE,
      },
    ])
    expect(await those('paused and narrowed_seq = 1 and wake_seq = 1')).to.deep.equal(ORG.toSorted())
    expect(await acts()).to.deep.equal([
      { who: 'alice', action: 'pause', target: '*.EXAMPLE.org', matched: 3 },
    ])
    expect((await act({ action: 'resume', glob: '*.example.org:1' })).body['names']).to.deep.equal([
      'c.example.org:1',
    ])
    expect(await those('paused')).to.deep.equal(ORG.slice(0, 2).toSorted())
  })

  it('does nothing on a dry run', async () => {
    for (const action of ['wake', 'pause', 'resume', 'reset'])
      expect((await act({ action, glob: '*', dry_run: true })).body['matched']).to.equal(5)
    expect(await those('paused or wake_seq > 0')).to.deep.equal([])
    expect([await acts(), await planned()]).to.deep.equal([[], []])
  })

  it('lists a hundred names of more', async () => {
    for (let n = 0; n < 120; n += 1) await s.server(`s${String(n).padStart(3, '0')}.many.example`)
    const { body } = await act({ action: 'pause', glob: '*.many.example', dry_run: true })
    expect(body['matched']).to.equal(120)
    expect(body['names']).to.have.length(100).and.to.include('s099.many.example')
  })

  it('has them tried so many a second, behind what was planned before, and each is done once', async () => {
    await act({ action: 'reset', glob: '*.example.org' })
    expect((await planned()).map(({ after }) => after)).to.deep.equal([0, 100, 200])
    await act({ action: 'wake', glob: '*e*' })
    expect((await planned()).map(({ action, after }) => [action, after])).to.deep.equal([
      ...[0, 100, 200].map((after) => ['reset', after]),
      ...[300, 400, 500, 600, 700].map((after) => ['wake', after]),
    ])
    await s.pool.query('update destinations set failures = 3')
    // The time of the former has come, and that of the others is so far off that a slow machine does not reach it.
    await s.pool.query(
      `update planned_acts set due_at = due_at + case action when 'reset' then -240 else 60000 end`,
    )
    await carryOutPlanned(s.pool, 10)
    expect(await those('failures = 0 and asked_at is not null and look_at <= now_ms()')).to.deep.equal(
      ORG.toSorted(),
    )
    expect((await planned()).map(({ action }) => action)).to.deep.equal(Array(5).fill('wake'))
    await s.pool.query('update planned_acts set due_at = 0')
    await carryOutPlanned(s.pool, 2)
    expect(await planned()).to.have.length(3)
    await Promise.all([carryOutPlanned(s.pool, 2), carryOutPlanned(s.pool, 2)])
    expect(await planned()).to.have.length(0)
    expect(await those('wake_seq = 2')).to.deep.equal(ORG.toSorted())
    expect(await those('wake_seq = 1 and failures = 3')).to.deep.equal(['example.org', 'other.example'])
    expect((await acts()).map(({ matched }) => matched)).to.deep.equal([3, 5])
  })

  it('waits no hour for what a wrong clock planned', async () => {
    await act({ action: 'wake', glob: '*.example' })
    await s.pool.query('update planned_acts set due_at = due_at + 7200000')
    await act({ action: 'reset', glob: '*.example' })
    await carryOutPlanned(s.pool, 10)
    expect(await planned()).to.deep.equal([])
  })

  it('wakes none that is paused or asked for no requests, also since it was planned, and counts them', async () => {
    await s.change('a.example.org', { paused: true })
    await s.change('c.example.org:1', { hold_kind: 'retry_after', hold_until: 4e12 })
    await s.change('example.org', { hold_kind: 'gone', hold_until: 4e12 })
    const { body } = await act({ action: 'wake', glob: '*' })
    expect(body).to.deep.include({ matched: 5, blocked: 0, left_out: { blocked: 0, paused: 1, held: 1 } })
    const woken = ['B.Example.Org:8448', 'example.org', 'other.example']
    expect((await planned()).map(({ name }) => name).toSorted()).to.deep.equal(woken)
    await s.change('other.example', { paused: true })
    await s.pool.query('update planned_acts set due_at = 0')
    await carryOutPlanned(s.pool, 10)
    expect(await those('asked_at is not null')).to.deep.equal(woken.slice(0, 2))
    expect(await planned()).to.deep.equal([])
  })

  it('wakes none that is blocked; the rest is done, and it says to how many nothing is sent all the same', async () => {
    const strict = makeAdminApp(s, {
      vetDomain: makeVetDomain({ allowlist: null, denylist: ['*.example.org'] }),
    })
    const wake = await strict.post('/v1/actions', undefined, { action: 'wake', glob: '*.example.org' })
    expect(wake.body).to.deep.include({ matched: 3, blocked: 3, left_out: { ...NONE, blocked: 3 } })
    expect([await acts(), await planned()]).to.deep.equal([[], []])
    const reset = await strict.post('/v1/actions', undefined, { action: 'reset', glob: 'a*' })
    expect(reset.body).to.deep.include({ matched: 1, blocked: 1, left_out: NONE })
    expect(await planned()).to.have.length(1)
    await strict.close()
  })

  it('is refused where it matches nobody, is no glob, or says something that is not understood', async () => {
    const none = await act({ action: 'pause', glob: '*.nobody.example' })
    expect([none.status, none.body]).to.deep.equal([
      404,
      { errcode: 'M_NOT_FOUND', error: 'no destination matches *.nobody.example' },
    ])
    for (const body of [
      ...[
        {},
        { action: 'pause' },
        { glob: '*' },
        { action: 'drop', glob: '*' },
        { action: 'pause', glob: 'a b' },
      ],
      ...[
        { action: 'pause', glob: '*', dryRun: true },
        { action: 'pause', glob: '*', dry_run: 'yes' },
      ],
    ])
      expect((await act(body)).body['errcode'], JSON.stringify(body)).to.equal('M_INVALID_PARAM')
    expect((await act({ action: 'pause', glob: '*' }, 'read-token')).status).to.equal(403)
    expect([await those('paused'), await acts()]).to.deep.equal([[], []])
  })
})
