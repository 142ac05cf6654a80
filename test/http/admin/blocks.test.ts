/** `/v1/blocks`: what operators block, and what is seen of those whom it concerns. */
import { expect } from 'chai'
import { makeBlocking, type Blocking } from '../../../src/deliver/blocking.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { makeAdminApp, type AdminApp } from './app.ts'

const D = 'a.bad.example:8448'
const path = `/v1/destinations/${D}`
const SINCE = String.raw`since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`

describe('the admin API for blocks', () => {
  let s: Situation
  let app: AdminApp
  let blocking: Blocking
  let other: Blocking
  before(async () => {
    s = await makeSituation()
    const ofProcess = () =>
      makeBlocking({
        ...{ pool: s.pool, configured: null, clock: systemClock },
        log: makeLog({ level: 'silent', pretty: false }),
      })
    blocking = ofProcess()
    other = ofProcess()
    app = makeAdminApp(s, { vetDomain: blocking.why, readBlocks: () => blocking.read() })
  })
  beforeEach(async () => {
    await s.reset()
    await s.pool.query('delete from blocks')
    await s.pool.query('update block_list set version = gen_random_uuid()')
    await blocking.read()
    for (const name of [D, 'bad.example', 'c.example:1']) await s.server(name)
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const list = async () => (await app.get('/v1/blocks')).body['blocks'] as Record<string, unknown>[]
  const done = { status: 200, body: {} }

  it('blocks a glob: it is listed with its reason, by whom and since when, and counts here at once', async () => {
    const before = Date.now()
    expect(await app.send('/v1/blocks', { glob: '*.BAD.example', reason: 'spam' })).to.deep.equal(done)
    const [block, ...more] = await list()
    expect(more).to.have.length(0)
    expect(block).to.include({ glob: '*.bad.example', reason: 'spam', by: 'alice' })
    expect(block?.['at']).to.be.within(before, Date.now())
    const { body } = await app.get(path)
    expect(body).to.include({ state: 'blocked', next_attempt: null })
    expect(body['reason']).to.match(
      new RegExp(`^nothing is sent to it, because \\*\\.bad\\.example is blocked by alice ${SINCE}: spam$`),
    )
    expect((await app.get('/v1/status')).body['destinations']).to.include({ blocked: 1, idle: 2 })
    const wake = await app.post(`${path}/wake`)
    expect([wake.status, wake.body['errcode']]).to.deep.equal([409, 'M_LIMPET_BLOCKED'])
    const reset = await app.post(`${path}/reset`)
    expect(reset.body['blocked']).to.match(/^\*\.bad\.example is blocked by alice /)
    expect(app.woken).to.deep.equal([])
    expect(other.isBlocked(D), 'where it was not read yet').to.equal(false)
    await other.read()
    expect(other.isBlocked(D)).to.equal(true)
    expect(other.isBlocked('never.seen.bad.example')).to.equal(true)
  })

  it('changes only the reason of what is blocked already', async () => {
    await app.send('/v1/blocks', { glob: 'bad.example' })
    const [first] = await list()
    expect(first).to.include({ reason: null })
    expect(await app.send('/v1/blocks', { glob: 'bad.example', reason: 'more' })).to.deep.equal(done)
    expect(await list()).to.deep.equal([{ ...first, reason: 'more' }])
  })

  it('ends a block by its glob, and says so where there is none', async () => {
    await app.send('/v1/blocks', { glob: '*.bad.example' })
    expect(await app.delete('/v1/blocks?glob=bad.example')).to.deep.equal({
      status: 404,
      body: { errcode: 'M_NOT_FOUND', error: 'there is no block bad.example' },
    })
    expect(await app.delete('/v1/blocks?glob=*.Bad.example')).to.deep.equal(done)
    expect(await list()).to.deep.equal([])
    expect((await app.get(path)).body).to.include({ state: 'idle' })
  })

  it('dry_run says whom it concerns, and changes nothing', async () => {
    const all = { matched: 2, names: [D, 'bad.example'] }
    const asked = await app.send('/v1/blocks', { glob: '*bad.example', dry_run: true })
    expect(asked.body).to.deep.equal(all)
    expect(await list()).to.deep.equal([])
    await app.send('/v1/blocks', { glob: '*bad.example' })
    expect((await app.delete('/v1/blocks?glob=*bad.example&dry_run=true')).body).to.deep.equal(all)
    expect(await list()).to.have.length(1)
    expect((await app.delete('/v1/blocks?glob=x.example&dry_run=true')).status).to.equal(404)
    await s.pool.query(
      `insert into destinations (name, position, created_at) select n || '.many.example', 0, 0 from generate_series(101, 320) n`,
    )
    const { body } = await app.send('/v1/blocks', { glob: '*.many.example', dry_run: true })
    const names = body['names'] as string[]
    expect([body['matched'], names.length, names[0]]).to.deep.equal([220, 100, '101.many.example'])
  })

  for (const [what, body, error] of [
    ['no object', [], /^the body must be a JSON object$/],
    ['no glob', { reason: 'x' }, /^glob must be a string$/],
    ['a glob that is none', { glob: 'a b' }, /is not a host name, or a glob/],
    ['a glob that is too long', { glob: 'a'.repeat(256) }, /at most 255 characters/],
    ['a reason that is too long', { glob: 'a.example', reason: 'x'.repeat(501) }, /at most 500 characters/],
    ['a reason that cannot be stored', { glob: 'a.example', reason: 'a\0' }, /cannot be stored/],
    ['another field', { glob: 'a.example', resaon: 'x' }, /^unknown field resaon: there are glob/],
    ['drop that is no boolean', { glob: 'a.example', drop: 'yes' }, /^drop must be true or false$/],
  ] as const)
    it(`refuses ${what}, and blocks nobody`, async () => {
      const answer = await app.send('/v1/blocks', body)
      expect(answer.status).to.equal(400)
      expect(answer.body['error']).to.match(error)
      expect(await list()).to.deep.equal([])
    })

  it('wants an admin token to change, and any that reads to look', async () => {
    expect((await app.send('/v1/blocks', { glob: 'a.example' }, 'read-token')).status).to.equal(403)
    expect((await app.delete('/v1/blocks?glob=a.example', 'read-token')).status).to.equal(403)
    expect((await app.delete('/v1/blocks')).status).to.equal(400)
  })
})
