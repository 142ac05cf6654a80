import { expect } from 'chai'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import type { LeafOptions } from '../../src/simulate/fleet/certs.ts'
import { makeTrust } from '../../src/wire/trust.ts'
import { withoutCertificates } from '../support/without-certificates.ts'
import { useSetting } from './setting.ts'

describe('certificates', () => {
  const setting = useSetting()

  const refused: [string, LeafOptions, string][] = [
    [
      'another address',
      { ips: ['127.0.0.2'] },
      'certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)',
    ],
    [
      'the address as a DNS name only',
      { names: ['127.0.0.1'] },
      'certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)',
    ],
    ['the right address, but expired', { expired: true }, 'certificate has expired (CERT_HAS_EXPIRED)'],
  ]
  for (const [what, leaf, message] of refused) {
    it(`refuses one for ${what}`, async () => {
      const server = await setting().homeserver({ tls: await setting().authority.issue(leaf) })
      const result = await setting().sender().send(server.serverName)
      expect(result).to.include({ kind: 'failed', stage: 'tls', handed: false, message })
      expect(server.requests).to.equal(0)
    })
  }

  it('refuses one of an authority that we do not know, whatever it is called', async () => {
    const impostor = await makeCertificateAuthority(Date.now())
    const server = await setting().homeserver({ tls: await impostor.issue() })
    const result = await setting().sender().send(server.serverName)
    expect(result).to.include({ kind: 'failed', stage: 'tls', handed: false })
    expect(server.requests).to.equal(0)
  })

  it('refuses our own authority where it is not configured', async () => {
    const server = await setting().homeserver()
    const result = await setting().sender({ customCas: [] }).send(server.serverName)
    expect(result).to.include({
      stage: 'tls',
      handed: false,
      message: 'certificate is from an unknown authority (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
    })
  })

  it('are checked, whatever the environment says', async () => {
    const impostor = await makeCertificateAuthority(Date.now())
    const servers = [
      await setting().homeserver({ tls: await impostor.issue() }),
      await setting().homeserver({ tls: await setting().authority.issue({ ips: ['127.0.0.2'] }) }),
    ]
    await withoutCertificates(async () => {
      for (const server of servers) {
        expect(await setting().sender().send(server.serverName)).to.include({ stage: 'tls', handed: false })
        expect(server.requests).to.equal(0)
      }
    })
  })

  // A group of 8,192 bits or more takes most of a second of our only thread, and the server would choose it.
  it('come in a handshake whose time is not the other side’s to choose: no finite fields', async () => {
    const tls = await setting().authority.issue()
    const old = { maxVersion: 'TLSv1.2', ciphers: 'DHE-RSA-AES128-GCM-SHA256', dhparam: 'auto' } as const
    for (const options of [old, { minVersion: 'TLSv1.3', ecdhCurve: 'ffdhe2048' } as const]) {
      const sockets: Socket[] = []
      const server = createTlsServer({ ...tls, ...options }, (socket) => sockets.push(socket))
      server.on('tlsClientError', () => undefined)
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      setting().closing(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
      const { port } = server.address() as AddressInfo
      const result = await setting().sender().send(`127.0.0.1:${port}`, { timeoutMs: 2_000 })
      expect(result).to.include({ kind: 'failed', stage: 'tls', handed: false })
    }
  })

  it('takes one by name for a name, also where the address is not in it', async () => {
    const tls = await setting().authority.issue({ names: ['b.example'] })
    const server = await setting().homeserver({ tls, hostName: 'b.example' })
    const { send } = setting().sender({ lookup: () => Promise.resolve([{ address: '127.0.0.1' }]) })
    expect(await send(`c.example:${server.port}`)).to.include({ stage: 'tls', handed: false })
    expect(await send(`b.example:${server.port}`)).to.include({ kind: 'answered' })
    expect(server.hosts).to.deep.equal([server.serverName])
  })

  it('announces the name to the server for a name, and nothing for an address', async () => {
    const tls = await setting().authority.issue({ names: ['b.example'], ips: ['127.0.0.1', '::1'] })
    const announced: (string | false | undefined)[] = []
    const server = createTlsServer(tls, (socket) => {
      announced.push((socket as { servername?: string | false }).servername)
      socket.destroy()
    })
    server.listen(0, '::')
    await once(server, 'listening')
    setting().closing(() => server.close())
    const { port } = server.address() as AddressInfo
    const { send } = setting().sender({ lookup: () => Promise.resolve([{ address: '127.0.0.1' }]) })
    for (const host of ['b.example', '127.0.0.1', '[::1]']) await send(`${host}:${port}`)
    expect(announced).to.deep.equal(['b.example', false, false])
  })

  it('says so where the other side does not speak TLS', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    setting().closing(() => server.close())
    const result = await setting()
      .sender()
      .send(`127.0.0.1:${(server.address() as AddressInfo).port}`)
    expect(result).to.include({
      stage: 'tls',
      handed: false,
      message: 'what listens there does not speak TLS (ERR_SSL_WRONG_VERSION_NUMBER)',
    })
  })

  it('are trusted anew only where they are others: to read all of them takes long', () => {
    const { cert } = setting().authority
    const trust = makeTrust([cert])
    expect(makeTrust([cert], trust)).to.equal(trust)
    expect(makeTrust([cert, cert], trust), 'the same twice').to.equal(trust)
    const without = makeTrust([], trust)
    expect(without.secureContext).not.to.equal(trust.secureContext)
    expect(without.authorities.has(cert.trim())).to.equal(false)
    expect(makeTrust([cert], without).authorities).to.deep.equal(trust.authorities)
  })

  it('does not start with an authority that is none', () => {
    expect(() => makeTrust(['hello'])).to.throw('custom CA 1 contains no PEM certificate')
    expect(() => makeTrust(['-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'])).to.throw()
  })

  it('takes several authorities out of one file', async () => {
    const other = await makeCertificateAuthority(Date.now(), { name: 'another authority' })
    const server = await setting().homeserver()
    const bundle = `# ours\n${other.cert}\n${setting().authority.cert}\n`
    const result = await setting()
      .sender({ customCas: [bundle] })
      .send(server.serverName)
    expect(result.kind).to.equal('answered')
  })
})
