/** What `limpet discover NAME` prints, for each kind of outcome. */
import { expect } from 'chai'
import { makeAdminApp, type AdminApp } from '../../http/admin/app.ts'
import { REPORTS } from '../../http/admin/reports.ts'
import { makeSituation, type Situation } from '../../store/views/situation.ts'
import { runCommand } from './run-command.ts'

type Kind = keyof typeof REPORTS

describe('limpet discover', () => {
  let s: Situation
  let app: AdminApp
  let url: string
  let anews: boolean[] = []
  let told: (typeof REPORTS)[Kind] = REPORTS.literal
  before(async () => {
    s = await makeSituation()
    app = makeAdminApp(s, {
      discover: (_name, { anew }) => {
        anews.push(anew)
        return Promise.resolve(told)
      },
    })
    url = await app.listen()
  })
  beforeEach(() => (anews = []))
  after(async () => {
    await app.close()
    await s.close()
  })
  const limpet = (...args: string[]) => runCommand('/', [...args, '--url', url, '--token', 'admin-token'])
  const shown = async (kind: Kind, ...options: string[]) => {
    told = REPORTS[kind]
    const { status, out, error } = await limpet('discover', told.destination, ...options)
    expect([status, error]).to.deep.equal([0, ''])
    for (const line of out.split('\n')) expect(line.length, line).to.be.at.most(100)
    return out
  }

  it('an address: nothing had to be asked', async () => {
    expect(await shown('literal')).to.equal(`192.0.2.7:8449 is at 192.0.2.7, port 8449

Host header              192.0.2.7:8449
name in the certificate  192.0.2.7
found by step            1

steps of the specification:
  1    192.0.2.7:8449 is an IP address

addresses:
  192.0.2.7, port 8449
`)
  })

  it('a delegation to SRV records: each step with its time and cache, aliases, and where the list of addresses bites', async () => {
    expect(await shown('delegated')).to.equal(`example.org is at 192.0.2.7, port 8449

Host header              hs.example.org
name in the certificate  hs.example.org
found by step            3.3

steps of the specification:
  3    https://example.org/.well-known/matrix/server
       m.server is hs.example.org (https://www.example.org/.well-known/matrix/server)
       asked just now, which took 41 ms; good for 1d
  3.3  SRV _matrix-fed._tcp.hs.example.org
       a.example.org port 8449, b.example.org port 8450
       remembered, asked 3m ago; good for 1m

addresses:
  a.example.org, port 8449
    192.0.2.7, 2001:db8::7
    refused: 10.1.2.3 may not be connected to (10.0.0.0/8: private)
    asked just now, which took 9 ms; good for 1h
  b.example.org, port 8450
    the name is an alias (CNAME) of c.example.net
    192.0.2.8
    asked by another process 0s ago; good for 1h

connections go to, in this order:
  192.0.2.7, port 8449
  2001:db8::7, port 8449
  192.0.2.8, port 8450
`)
  })

  const parts: [kind: Kind, what: string, lines: string[]][] = [
    [
      'refused',
      'a name with a private address alone: no connection, and why',
      [
        'inside.example cannot be connected to: no address may be connected to: 10.1.2.3 may not be connected',
        '    refused: 10.1.2.3 may not be connected to (10.0.0.0/8: private)',
      ],
    ],
    [
      'blocked',
      'a server that the list of names blocks: that first, and where it would be',
      [
        'nothing is sent to 192.0.2.7:8449, because 192.0.2.* is in federation.domain_denylist',
        'if it were allowed, it would be at 192.0.2.7, port 8449',
      ],
    ],
    [
      'proxied',
      'a server behind the proxy, which looks names up',
      [
        'far.example:443 is at far.example, port 443, through the proxy proxy.example:3128',
        '    through the proxy proxy.example:3128, which looks names up',
      ],
    ],
    [
      'failed',
      'a server that says that it has no such service',
      [
        'none.example cannot be connected to: SRV _matrix-fed._tcp.none.example: the record says that there',
        '       could not connect to 192.0.2.9:443 (ETIMEDOUT)',
        '       asked just now, which took 10.0 s; good for 1h',
      ],
    ],
    [
      'stale',
      'an answer past its time, which failed when it was asked again',
      ['       too old (asked 1d ago), being asked again; 1 lookup has failed since'],
    ],
  ]
  for (const [kind, what, lines] of parts)
    it(what, async () => {
      expect((await shown(kind)).split('\n')).to.include.members(lines)
    })

  it('shows no facts where no step found anything', async () => {
    expect(await shown('failed')).to.not.match(/Host header|connections go/)
  })

  it('asks again only with --fresh, and prints the report as it is with --json', async () => {
    await shown('literal')
    await shown('literal', '--fresh')
    expect(anews).to.deep.equal([false, true])
    expect(JSON.parse(await shownAsJson())).to.deep.equal(REPORTS.delegated)
  })
  const shownAsJson = async () => {
    told = REPORTS.delegated
    return (await limpet('discover', told.destination, '--json')).out
  }

  it('says so where a name is no server name, and asks nothing', async () => {
    expect(await limpet('discover', 'https://example.org')).to.deep.equal({
      status: 1,
      out: '',
      error:
        '"https://example.org" is not a server name (those are like example.org, example.org:8448, 192.0.2.7) (M_INVALID_PARAM)',
    })
    expect((await limpet('discover', '*.example.org')).status).to.equal(2)
    expect(anews).to.deep.equal([])
  })
})
