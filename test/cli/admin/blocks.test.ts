/** `limpet block|unblock`. */
import { expect } from 'chai'
import { makeBlocking } from '../../../src/deliver/blocking.ts'
import { makeLog } from '../../../src/observe/log.ts'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeAdminApp, type AdminApp } from '../../http/admin/app.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { runCommand } from './run-command.ts'

describe('commands that block', () => {
  let s: Situation
  let app: AdminApp
  let url: string
  before(async () => {
    s = await makeSituation()
    const blocking = makeBlocking({
      ...{ pool: s.pool, configured: null, clock: systemClock },
      log: makeLog({ level: 'silent', pretty: false }),
    })
    app = makeAdminApp(s, { vetDomain: blocking.why, readBlocks: () => blocking.read() })
    url = await app.listen()
    for (const name of ['a.bad.example:8448', 'b.bad.example', 'c.example']) await s.server(name)
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const limpet = (...args: string[]) => runCommand('/', [...args, '--url', url, '--token', 'admin-token'])
  const shown = async (...args: string[]) => {
    const { status, out, error } = await limpet(...args)
    expect([status, error]).to.deep.equal([0, ''])
    return out
  }
  const globs = async () =>
    ((await app.get('/v1/blocks')).body['blocks'] as Record<string, unknown>[]).map(({ glob, reason }) => [
      glob,
      reason,
    ])

  it('a plain name, seen or not, at once', async () => {
    expect(await shown('block', 'new.example', '--reason', 'spam')).to.equal(
      'new.example is blocked: nothing is sent to it any more; what is owed is kept\n',
    )
    expect(await globs()).to.deep.equal([['new.example', 'spam']])
    await shown('block', 'c.example')
    const said = (await shown('destination', 'c.example')).replace(/\n +/g, ' ')
    expect(said).to.match(
      /^c\.example is blocked: nothing is sent to it, because c\.example is blocked by alice/m,
    )
    for (const name of ['new.example', 'c.example'])
      expect(await shown('unblock', name)).to.equal(
        `${name} is blocked no more; what is owed, and was not given up, goes out\n`,
      )
    expect(await globs()).to.deep.equal([])
    expect(await limpet('unblock', 'c.example')).to.deep.equal({
      ...{ status: 1, out: '', error: 'there is no block c.example (M_NOT_FOUND)' },
    })
  })

  it('a glob: says whom it concerns, and does it with --yes', async () => {
    const concerned = (verb: string) => ({
      status: 1,
      out: '*.bad.example is the name of 2 destinations:\n  a.bad.example:8448\n  b.bad.example\n',
      error: `nothing was done: limpet ${verb} '*.bad.example' --yes does it, also to those that come later`,
    })
    expect(await limpet('block', '*.bad.example')).to.deep.equal(concerned('block'))
    expect(await globs()).to.deep.equal([])
    await shown('block', '*.bad.example', '--yes')
    expect(await globs()).to.deep.equal([['*.bad.example', null]])
    expect(await limpet('unblock', '*.bad.example')).to.deep.equal(concerned('unblock'))
    expect(await globs()).to.have.length(1)
    expect(JSON.parse((await limpet('unblock', '*.bad.example', '--json')).out)).to.deep.include({
      matched: 2,
    })
    await shown('unblock', '*.bad.example', '--yes')
    expect(await globs()).to.deep.equal([])
    expect((await limpet('block', 'x?.example')).out).to.equal(
      'x?.example is the name of 0 destinations that limpet knows\n',
    )
  })

  it('with --drop gives up what is owed now', async () => {
    await s.event(1, 'a')
    expect(await shown('block', 'c.example', '--drop')).to.equal(
      'c.example is blocked: nothing is sent to it any more; what is owed now is given up, which may take half a minute\n',
    )
    const { rows } = await s.pool.query<{ skip_upto: number; skip_by: string }>(
      `select skip_upto, skip_by from destinations where name = 'c.example'`,
    )
    expect(rows).to.deep.equal([{ skip_upto: 1, skip_by: 'alice' }])
    await shown('unblock', 'c.example')
    const acts = (await app.get('/v1/audit?limit=3')).body['audit'] as Record<string, unknown>[]
    expect(acts.map(({ action, target }) => [action, target])).to.deep.equal([
      ['unblock', 'c.example'],
      ['drop', 'c.example'],
      ['block', 'c.example'],
    ])
  })
})
