/** What the commands say of a destination that the lists of names block. */
import { expect } from 'chai'
import { makeVetDomain } from '../../../src/allow/domains.ts'
import { makeAdminApp, type AdminApp } from '../../http/admin/app.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { runCommand } from './run-command.ts'

const D = 'a.blocked.example:8448'
const WHY = '*.blocked.example is in federation.domain_denylist'

describe('commands for a destination that is blocked', () => {
  let s: Situation
  let app: AdminApp
  let url: string
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s, {
      vetDomain: makeVetDomain({ allowlist: null, denylist: ['*.blocked.example'] }),
    })
    url = await app.listen()
    await s.server(D)
    await s.member(D, 'a')
    await s.event(1, 'a')
  })
  after(async () => {
    await app.close()
    await s.close()
  })
  const limpet = (...args: string[]) => runCommand('/', [...args, '--url', url, '--token', 'admin-token'])
  const shown = async (...args: string[]) => {
    const { status, out, error } = await limpet(...args)
    expect([status, error]).to.deep.equal([0, ''])
    for (const line of out.split('\n')) expect(line.length, line).to.be.at.most(100)
    return out
  }

  it('say so: status, destinations, destination, explain', async () => {
    expect(await shown('status')).to.match(/^destinations +1: 1 blocked$/m)
    expect(await shown('destinations', '--state', 'blocked')).to.match(
      /^a\.blocked\.example:8448 +blocked +0 /m,
    )
    expect((await shown('destination', D)).replace(/\n +/g, ' ')).to.match(
      new RegExp(`^${D} is blocked: nothing is sent to it, because \\${WHY}; owed: 1 PDU$`, 'm'),
    )
    expect((await shown('explain', '$1')).replace(/\n +/g, ' ')).to.include(
      `nothing is sent to it, because ${WHY}`,
    )
  })

  it('refuse to wake it', async () => {
    expect(await limpet('wake', D)).to.deep.equal({
      ...{ status: 1, out: '', error: `nothing is sent to ${D}, because ${WHY} (M_LIMPET_BLOCKED)` },
    })
  })

  for (const [action, said] of [
    ['reset', 'has its failures forgotten'],
    ['pause', 'is paused'],
    ['resume', 'is resumed'],
  ] as const)
    it(`${action}: does it, and says that it stays blocked`, async () => {
      expect((await shown(action, D)).replace(/\n +/g, ' ')).to.equal(
        `${D} ${said}, but nothing is sent to it, because ${WHY}\n`,
      )
      expect(app.woken).to.deep.equal([])
    })
})
