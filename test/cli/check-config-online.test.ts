/** `check-config --online` against a homeserver that is found by real DNS and TLS on loopback. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { mappedNetwork, type Network } from '../../src/daemon/open-outbound.ts'
import { canonicalFromValue } from '../../src/matrix/canonical-json.ts'
import { generateKey, readSigningKey, type SigningKey } from '../../src/matrix/signing.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { startDnsServer, type DnsServer } from '../../src/simulate/dns/server.ts'
import { loopbackAuthority } from '../e2e/world.ts'
import { quietPort } from '../support/port.ts'
import { install, limpet, type Install } from './cli-stage.ts'

const US = 'a.example'
const HOUR = 3_600_000

describe('check-config --online', () => {
  let dns: DnsServer
  let homeserver: Server
  let network: Network
  let one: Install
  let key: SigningKey
  /** What the homeserver answers to those who ask for its keys. */
  let answers: (request: IncomingMessage, response: ServerResponse) => void
  let asked: string[]

  beforeEach(async () => {
    const { ca } = await loopbackAuthority()
    dns = await startDnsServer({ clock: systemClock })
    asked = []
    homeserver = createServer(await ca.issue({ names: [US] }), (request, response) => {
      asked.push(`${request.method} ${request.headers.host}${request.url}`)
      answers(request, response)
    }).listen(0, '127.0.0.1')
    homeserver.on('tlsClientError', () => undefined)
    await once(homeserver, 'listening')
    const { port: matrix } = homeserver.address() as AddressInfo
    // Nobody answers for `.well-known`.
    network = mappedNetwork({ https: await quietPort(), matrix, dns: dns.port })
    dns.zone.set(US, { a: ['127.0.0.1'] })
    begin({ ip_allowlist: ['127.0.0.0/8'] })
    writeFileSync(join(one.dir, 'ca.pem'), ca.cert)
    publish()
  })
  afterEach(async () => {
    one.remove()
    homeserver.close()
    homeserver.closeAllConnections()
    await dns.stop()
  })

  function begin(federation: object): void {
    one = install({ federation: { dns_servers: [dns.name], custom_ca_paths: ['ca.pem'], ...federation } })
    key = readSigningKey(readFileSync(one.key, 'utf8'))
  }

  /** Publishes what is said, signed by `by`. */
  function publish(more: object = {}, by: SigningKey = key): void {
    const keys = {
      server_name: US,
      valid_until_ts: Date.now() + HOUR,
      verify_keys: { [key.keyId]: { key: key.publicKey } },
      old_verify_keys: {},
      ...more,
    }
    const signatures = { [US]: { [by.keyId]: by.sign(canonicalFromValue(keys)) } }
    answers = (_request, response) => response.end(JSON.stringify({ ...keys, signatures }))
  }

  const run = () => limpet(['check-config', '--online'], { cwd: one.dir, network })
  const fails = async (status: number, line: RegExp) => {
    const said = await run()
    expect(said.err).to.match(line)
    expect(said.err.match(/\n/g), 'one line').to.have.length(1)
    expect(said.out).to.match(
      status === 1 ? /^published key: could not be checked$/m : /^published key: wrong$/m,
    )
    expect(said.status).to.equal(status)
  }
  const other = () => generateKey((size) => randomBytes(size)).key

  it('says that our key is published and until when, by the way that other servers go', async () => {
    const { status, out, err } = await run()
    expect(err).to.equal('')
    expect(status).to.equal(0)
    expect(out).to.match(
      /^published key: ok, a\.example publishes ed25519:a_\w{4} at 127\.0\.0\.1, port \d+, valid until \d{4}-/m,
    )
    expect(asked).to.deep.equal([`GET ${US}/_matrix/key/v2/server`])
  })

  it('asks nobody without --online', async () => {
    const { status, out } = await limpet(['check-config'], { cwd: one.dir, network })
    expect(status).to.equal(0)
    expect(out).not.to.include('published key')
    expect(asked).to.deep.equal([])
    expect(dns.asked()).to.equal(0)
  })

  describe('says that it is not reachable, exit 1:', () => {
    it('no address', async () => {
      dns.zone.remove(US)
      await fails(
        1,
        /^limpet: a\.example is not reachable from here: its addresses: .*the name has no address\n$/,
      )
    })

    it('nobody listens', async () => {
      network = { ...network, ports: { ...network.ports, matrix: await quietPort() } }
      await fails(
        1,
        /^limpet: a\.example is not reachable from here: no connection: .*127\.0\.0\.1.*ECONNREFUSED/,
      )
    })

    it('a certificate for another name', async () => {
      dns.zone.set('b.example', { a: ['127.0.0.1'] })
      dns.zone.set('_matrix-fed._tcp.a.example', {
        srv: [{ port: network.ports.matrix, target: 'b.example' }],
      })
      const { ca } = await loopbackAuthority()
      homeserver.setSecureContext(await ca.issue({ names: ['b.example'] }))
      await fails(1, /^limpet: a\.example is not reachable from here: no connection: TLS with .*another name/)
    })

    it('no answer to the question', async () => {
      answers = (_request, response) => response.writeHead(502).end()
      await fails(
        1,
        /not reachable from here: GET \/_matrix\/key\/v2\/server at 127\.0\.0\.1, port \d+ was answered with status 502\n$/,
      )
      answers = (request) => request.socket.destroy()
      await fails(1, /not reachable from here: GET \/_matrix\/key\/v2\/server at .*: /)
    })

    it('a private address, and that the deny list is what forbids it', async () => {
      dns.zone.set(US, { a: ['10.1.2.3'] })
      await fails(
        1,
        /^limpet: a\.example is not reachable from here: its addresses: .*10\.1\.2\.3 may not be connected to.*; it is federation\.ip_denylist .* federation\.ip_allowlist, or check from outside\n$/,
      )
    })
  })

  describe('says that the key id is not published, exit 2:', () => {
    it('and which ids are', async () => {
      const [first, second] = [other(), other()]
      const verify_keys = {
        [first.keyId]: { key: first.publicKey },
        [second.keyId]: { key: second.publicKey },
      }
      publish({ verify_keys }, first)
      await fails(
        2,
        new RegExp(
          `^limpet: signing_key_path: a\\.example does not publish a key ${key.keyId}: it publishes (${first.keyId}, ${second.keyId}|${second.keyId}, ${first.keyId});`,
        ),
      )
    })

    it('and that none are', async () => {
      publish({ verify_keys: {} })
      await fails(2, /^limpet: signing_key_path: a\.example does not publish a key .*: it publishes none;/)
    })
  })

  describe('says that it is another key, exit 2:', () => {
    it('under this id', async () => {
      const stranger = other()
      publish({ verify_keys: { [key.keyId]: { key: stranger.publicKey } } })
      await fails(2, /^limpet: signing_key_path: a\.example publishes another key under ed25519:a_\w{4}: /)
    })

    it('or listed as old', async () => {
      const next = other()
      publish(
        {
          verify_keys: { [next.keyId]: { key: next.publicKey } },
          old_verify_keys: { [key.keyId]: { key: key.publicKey, expired_ts: 1 } },
        },
        next,
      )
      await fails(
        2,
        /^limpet: signing_key_path: a\.example lists ed25519:a_\w{4} only as an old key \(old_verify_keys\)/,
      )
    })
  })

  describe('says that other servers would not take the answer, exit 2:', () => {
    const cases: [string, () => void, RegExp][] = [
      [
        'no JSON',
        () => (answers = (_request, response) => response.end('<html>')),
        /no JSON that can be signed/,
      ],
      ['of another server', () => publish({ server_name: 'b.example' }), /its server_name is "b\.example"/],
      ['past its time', () => publish({ valid_until_ts: 1 }), /valid_until_ts is over: 1970-01-01/],
      ['without a time', () => publish({ valid_until_ts: 'x' }), /it has no valid_until_ts/],
      ['signed by nobody', () => publish({}, other()), /it is not signed by ed25519:a_/],
      [
        'signed wrongly',
        () => publish({}, { ...key, sign: () => key.sign('something else') }),
        /its signature by ed25519:a_\w{4} is wrong/,
      ],
    ]
    for (const [what, set, why] of cases) {
      it(what, async () => {
        set()
        const said = await run()
        expect(said.err).to.match(
          /^limpet: signing_key_path: what a\.example publishes as its keys is not valid, /,
        )
        expect(said.err).to.match(why)
        expect(said.status).to.equal(2)
      })
    }
  })
})
