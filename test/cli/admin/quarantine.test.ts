/** `limpet quarantine NAME`. */
import { expect } from 'chai'
import { makeAdminApp, type AdminApp } from '../../http/admin/app.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { runCommand } from './run-command.ts'

const MINUTE = 60_000
const D = 'd.example:8448'
const LONG = `$${'event-id.'.repeat(9)}`

describe('limpet quarantine', () => {
  let s: Situation
  let app: AdminApp
  let url: string
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s)
    url = await app.listen()
  })
  beforeEach(async () => {
    await s.reset()
    await s.server(D)
    await s.server('idle.example')
    await s.member(D, 'a')
    for (const pos of [1, 2, 3]) await s.event(pos, pos === 3 ? 'b' : 'a')
    await s.change(D, { position: 3 })
    const message = 'answered 403 M_FORBIDDEN (nginx): \u001b[31mno, never'
    await s.apart(D, 1, 'a', { since: Date.now() - 90 * MINUTE, tries: 12, status: 403, message })
    await s.apart(D, 2, 'a', { since: Date.now() - 30_000, next_at: Date.now() + 150_000 })
    await s.wait(D, 'b', { cursor: 3, held_since: Date.now() - 5 * MINUTE, tries: 1, next_at: Date.now() })
    await s.pool.query('update events set event_id = $1 where pos = 1', [LONG])
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const limpet = (...args: string[]) =>
    runCommand('/', ['quarantine', ...args, '--url', url, '--token', 'admin-token'])
  const shown = async (...args: string[]) => {
    const { status, out, error } = await limpet(...args)
    expect([status, error]).to.deep.equal([0, ''])
    return out.trimEnd()
  }

  it('lists what is set aside and held, what is tried next first, with what was answered, in 100 columns', async () => {
    const lines = (await shown(D)).split('\n')
    for (const line of lines.filter((one) => one !== LONG)) expect(line.length, line).to.be.at.most(100)
    expect(lines[0]).to.match(/^ID +WHAT +ROOM +SINCE +TRIES +NEXT +STATUS$/)
    expect(lines[1]).to.match(/^room-\d+ +room +!b:us +5m +1 +\ds ago +-$/)
    expect(lines[2]).to.match(/^pdu-2 +\$2 +!a:us +3\ds +0 +in [12]m +-$/)
    expect(lines[3]).to.match(/^pdu-1 +!a:us +1h +12 +in 1\dm +403$/)
    expect(lines.slice(4, -2).join(' ').trim().split(/\s+/)).to.deep.equal(['what', LONG])
    expect(lines.at(-2)).to.equal('    answered 403 M_FORBIDDEN (nginx): �[31mno, never')
    expect(lines.at(-1)).to.equal('3 of 3')
    expect((await shown(D, '--limit', '1')).split('\n').at(-1)).to.equal('1 of 3 (--all shows all)')
    expect(await shown('idle.example')).to.equal('nothing is set aside')
    const { quarantine } = JSON.parse(await shown(D, '--json')) as { quarantine: object[] }
    expect(quarantine[0]).to.include({ id: 'pdu-1', event_id: LONG, tries: 12, status: 403 })
  })

  it('has one tried, or gives one up', async () => {
    expect(await shown(D, '--retry', 'pdu-1')).to.equal(`pdu-1 of ${D} is tried now`)
    expect(await shown(D, '--drop', 'pdu-1')).to.equal(`pdu-1 of ${D} is given up`)
    expect((await shown(D)).split('\n').at(-1)).to.equal('2 of 2')
    expect(await shown(D, '--retry', 'pdu-2', '--json')).to.equal('{}')
  })

  it('passes on why that is not done', async () => {
    expect(await limpet(D, '--drop', 'pdu-9')).to.include({
      ...{ status: 1, error: `${D} has no pdu-9 set aside (M_NOT_FOUND)` },
    })
    await s.change(D, { paused: true })
    expect((await limpet(D, '--retry', 'pdu-1')).error).to.match(/is paused: resume it/)
    expect((await limpet('nope.example')).error).to.match(/unknown destination nope\.example/)
  })

  it('refuses both at once, and a glob', async () => {
    expect(await limpet(D, '--retry', 'pdu-1', '--drop', 'pdu-2')).to.include({
      ...{ status: 2, error: '--retry or --drop, not both' },
    })
    expect((await limpet('*.example', '--drop', 'pdu-2')).status).to.equal(2)
  })
})
