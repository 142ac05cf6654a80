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
      expect(await shown('unblock', name)).to.equal(`${name} is blocked no more; what is owed goes out\n`)
    expect(await globs()).to.deep.equal([])
    expect(await limpet('unblock', 'c.example')).to.deep.equal({
      ...{ status: 1, out: '', error: 'there is no block c.example (M_NOT_FOUND)' },
    })
  })

  it('a glob: says whom it concerns, and does it with --yes', async () => {
    const concerned = (verb: string) =>
      `*.bad.example is the name of 2 destinations:\n  a.bad.example:8448\n  b.bad.example\nnothing was done: --yes ${verb}s them, and those that come later\n`
    expect(await shown('block', '*.bad.example')).to.equal(concerned('block'))
    expect(await globs()).to.deep.equal([])
    await shown('block', '*.bad.example', '--yes')
    expect(await globs()).to.deep.equal([['*.bad.example', null]])
    expect(await shown('unblock', '*.bad.example')).to.equal(concerned('unblock'))
    expect(await globs()).to.have.length(1)
    expect(JSON.parse(await shown('unblock', '*.bad.example', '--json'))).to.deep.include({ matched: 2 })
    await shown('unblock', '*.bad.example', '--yes')
    expect(await globs()).to.deep.equal([])
    expect(await shown('block', 'x?.example')).to.match(
      /^x\?\.example is the name of 0 destinations that limpet knows\n/,
    )
  })

  it('refuses --drop, which comes later, and blocks nobody', async () => {
    const { status, error } = await limpet('block', 'c.example', '--drop')
    expect([status, error]).to.deep.equal([
      2,
      '--drop comes in a later release: without it what is owed is kept',
    ])
    expect(await globs()).to.deep.equal([])
  })
})
