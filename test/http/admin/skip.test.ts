/** `POST …/skip`, and what `explain` says of what an operator gave up. The wish is carried out here as a holder does. */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { registerWorker, takeDestinations } from '../../../src/store/delivery/leases.ts'
import { carryOutPlanned } from '../../../src/store/delivery/planned-acts.ts'
import { forgetOldSkips, skipOwed } from '../../../src/store/delivery/skips.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const D = 'd.example:8448'
const path = `/v1/destinations/${D}`
const HOUR = 3_600_000
type Rows = Record<string, unknown>[]

describe('an operator skips what is owed to a destination', () => {
  let s: Situation
  let app: AdminApp
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
  })
  beforeEach(async () => {
    await s.reset()
    app.woken.length = 0
    await s.server(D)
    await s.member(D, 'a')
    for (const pos of [1, 2, 3]) await s.event(pos, 'a')
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const rowOf = async () =>
    (await s.pool.query<Record<string, number | null>>('select * from destinations where name = $1', [D]))
      .rows[0]!
  const counts = async () => {
    const { body } = await app.get(path)
    return [body['pending_pdus'], body['pending_sticky'], body['open_transaction'], body['gap']]
  }
  const fate = async (eventId: string) =>
    ((await app.get(`/v1/events/${eventId}`)).body['destinations'] as Rows)[0]
  async function carryOut(): Promise<void> {
    const worker = randomUUID()
    await registerWorker(s.pool, { id: worker, name: 'box', leaseMs: 60_000 })
    await s.change(D, { lease_owner: null })
    const [taken] = await takeDestinations(s.pool, [{ worker, name: D }])
    if (taken?.kind !== 'taken') throw new Error('not taken')
    const { skip_upto } = await rowOf()
    expect(await skipOwed(s.pool, taken.held, skip_upto ?? -1)).to.equal(true)
    expect(await skipOwed(s.pool, taken.held, skip_upto ?? -1), 'once').to.equal(false)
  }

  it('is a wish up to now, recorded and woken; a dry run only counts', async () => {
    const counted = { pending_pdus: 3, pending_sticky: 0, pending_edus: 0 }
    expect(await app.post(`${path}/skip`, undefined, { dry_run: true })).to.deep.equal({
      status: 200,
      body: counted,
    })
    expect([(await rowOf())['skip_upto'], app.woken]).to.deep.equal([null, []])
    expect((await s.pool.query('select from audit')).rows).to.have.length(0)
    expect(await app.post(`${path}/skip`)).to.deep.equal({ status: 200, body: counted })
    expect(await rowOf()).to.include({
      skip_upto: 3,
      skip_by: 'alice',
      wake_seq: 1,
      narrowed_seq: 1,
      position: 0,
    })
    expect(app.woken).to.deep.equal([{ destination: D, queue: 'recovery' }])
    const { rows } = await s.pool.query('select who, action, target from audit')
    expect(rows).to.deep.equal([{ who: 'alice', action: 'skip', target: D }])
    expect((await app.post('/v1/destinations/nobody.example/skip')).status).to.equal(404)
    for (const body of [{ dryRun: true }, { dry_run: 1 }])
      expect((await app.post(`${path}/skip`, undefined, body)).body['errcode']).to.equal('M_INVALID_PARAM')
  })

  it('gives up what was owed at the time, and nothing of what came later', async () => {
    await s.open(D, { positions: [1], lanes: 't', from_pos: 0, to_pos: 1 })
    await app.post(`${path}/skip`)
    await s.event(4, 'a')
    await carryOut()
    expect(await rowOf()).to.include({ position: 3, skip_upto: null, skip_by: null })
    expect(await counts()).to.deep.equal([1, 0, null, null])
    const told = (await fate('$2'))!
    expect(told).to.include({
      outcome: 'skipped',
      as: null,
      why: 'an operator (alice) gave up what was owed up to 3',
    })
    expect(told['at']).to.be.a('number')
    expect(await fate('$4')).to.include({ outcome: 'pending' })
  })

  it('ends a catch-up where it had come to, with its sticky lane', async () => {
    for (const pos of [4, 5]) await s.event(pos, 'b', { sticky: HOUR })
    await s.member(D, 'b')
    await s.gap(D, 0, 5, { cursor: 3 })
    await s.owe(D, null, { after_pos: 0, cursor: 0 })
    await s.attempt(D, 1, { positions: [3], lanes: 'c', to_pos: 3 })
    await app.post(`${path}/skip`)
    await carryOut()
    expect(await counts()).to.deep.equal([0, 0, null, null])
    expect(await fate('$3')).to.include({ outcome: 'delivered', as: 'catch_up' })
    expect(await fate('$5')).to.include({ outcome: 'skipped', as: null })
    expect((await rowOf())['position']).to.equal(5)
  })

  it('goes on with a gap that reaches farther, behind that place', async () => {
    await app.post(`${path}/skip`)
    for (const pos of [4, 5]) await s.event(pos, 'b', { sticky: HOUR })
    await s.member(D, 'b')
    await s.gap(D, 0, 5)
    await s.owe(D, null, { after_pos: 0, cursor: 0 })
    await carryOut()
    expect(await counts()).to.deep.equal([1, 2, null, { from: 0, to: 5, rooms_left: 1 }])
    expect(await fate('$3')).to.include({ outcome: 'skipped' })
    expect(await fate('$5')).to.include({ outcome: 'pending' })
  })

  it('gives up replays that joins owed, not those of a join after it', async () => {
    await s.event(4, 'b', { sticky: HOUR })
    await s.event(5, 'c', { sticky: HOUR })
    await s.member(D, 'b', 6)
    await s.owe(D, 'b', { upto: 6 })
    await s.replay(D, 4, 'unlisted', { next_at: 1, expires_at: 4e12 })
    await s.pool.query('update stream set head = 6')
    await app.post(`${path}/skip`)
    await s.member(D, 'c', 7)
    await s.owe(D, 'c', { upto: 7 })
    await s.replay(D, 5, 'unlisted', { next_at: 1, expires_at: 4e12 })
    await carryOut()
    expect((await s.pool.query('select upto from sticky_owed')).rows).to.deep.equal([{ upto: 7 }])
    expect((await s.pool.query('select pos from replays')).rows).to.deep.equal([{ pos: 5 }])
    expect(await fate('$4')).to.include({ outcome: 'skipped' })
    expect(await fate('$5')).to.include({ outcome: 'pending' })
  })

  it('keeps what was delivered delivered, and forgets the record with the log', async () => {
    await s.change(D, { position: 2 })
    await app.post(`${path}/skip`)
    await carryOut()
    expect(await fate('$2')).to.include({ outcome: 'delivered' })
    expect(await fate('$3')).to.include({ outcome: 'skipped' })
    await forgetOldSkips(s.pool)
    expect((await s.pool.query('select from skips')).rows).to.have.length(1)
    await s.pool.query('update stream set log_floor = 3')
    await forgetOldSkips(s.pool)
    expect((await s.pool.query('select from skips')).rows).to.have.length(0)
    await s.pool.query('update stream set log_floor = 0')
  })

  it('gives up what was set aside: it is said to be skipped, not delivered', async () => {
    await s.apart(D, 2, 'a', { next_at: 4e12 })
    await s.change(D, { position: 3 })
    await app.post(`${path}/skip`)
    await carryOut()
    expect(await fate('$2')).to.include({
      outcome: 'skipped',
      why: 'an operator (alice) gave up what was owed up to 3',
    })
    expect(await fate('$3')).to.include({ outcome: 'delivered' })
  })

  it('is done to many up to the moment of the command, whenever it is carried out', async () => {
    const { body } = await app.post('/v1/actions', undefined, { action: 'skip', glob: '*.example' })
    expect(body).to.include({ matched: 1 })
    await s.event(4, 'a')
    await s.pool.query('update planned_acts set due_at = 0')
    await carryOutPlanned(s.pool, 5)
    expect(await rowOf()).to.include({ skip_upto: 3, skip_by: 'alice' })
    await carryOut()
    expect(await counts()).to.deep.equal([1, 0, null, null])
  })
})
