import { expect } from 'chai'
import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import type { LeafOptions } from '../../src/simulate/fleet/certs.ts'
import { whyNotFor } from '../../src/wire/identity.ts'
import { makeIsInsecure } from '../../src/allow/insecure.ts'
import type { Peer } from '../../src/allow/insecure.ts'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import { listen, makeDialler, speaking, targetAt } from './dialling.ts'
import { useSetting } from './setting.ts'

describe('whom a certificate is for', () => {
  const setting = useSetting()
  const whyNot = async (name: string, leaf: LeafOptions) => {
    const { cert } = await setting().authority.issue(leaf)
    // What Node gives to `checkServerIdentity`.
    const certificate = new X509Certificate(cert).toLegacyObject()
    return whyNotFor(name, certificate)
  }

  it('an address, compared as an address: IPv6 in any spelling', async () => {
    for (const san of ['::1', '0:0:0:0:0:0:0:1'])
      for (const name of ['::1', '0:0:0:0:0:0:0:1', '0000::0001', '::0.0.0.1'])
        expect(await whyNot(name, { ips: [san] }), `${name} ${san}`).to.equal(null)
    for (const name of ['2001:db8::a', '2001:DB8::A', '2001:0db8:0:0:0:0:0:000a'])
      expect(await whyNot(name, { ips: ['127.0.0.1', '2001:db8::a'], names: ['b.example'] }), name).to.equal(
        null,
      )
    expect(await whyNot('127.0.0.1', { ips: ['::1', '127.0.0.1'] })).to.equal(null)
  })

  it('looks at the certificate itself, not at the text that a release of Node makes of it', async () => {
    const { cert } = await setting().authority.issue({ ips: ['::1', '127.0.0.1'] })
    const certificate = new X509Certificate(cert).toLegacyObject()
    const lies = { ...certificate, subjectaltname: 'IP Address:::2', subject: { CN: '127.0.0.2' } }
    for (const name of ['::1', '127.0.0.1']) expect(whyNotFor(name, lies as PeerCertificate)).to.equal(null)
    for (const name of ['::2', '127.0.0.2'])
      expect(whyNotFor(name, lies as PeerCertificate)).to.be.instanceOf(Error)
  })

  const others: [string, LeafOptions][] = [
    ['::1', { ips: ['::2'] }],
    ['::1', { ips: ['127.0.0.1'] }],
    ['::1', { names: ['::1'] }],
    ['::1', { names: ['localhost'] }],
    ['127.0.0.1', { ips: ['127.0.0.2'] }],
    ['127.0.0.1', { ips: ['::ffff:127.0.0.1'] }],
    ['::ffff:127.0.0.1', { ips: ['127.0.0.1'] }],
    // Its common name is the address too.
    ['127.0.0.1', { names: ['127.0.0.1'] }],
    ['127.0.0.1', { names: ['*'] }],
    ['127.0.0.1', { names: ['*.0.0.1'] }],
    ['127.0.0.1', { names: ['localhost'] }],
    ['127.0.0.1', { names: ['x, IP Address:127.0.0.1'] }],
    ['b.example', { names: ['c.example'] }],
    ['b.example', { ips: ['127.0.0.1'] }],
  ]
  for (const [name, leaf] of others)
    it(`not ${name} where it has ${JSON.stringify(leaf)}`, async () => {
      expect(await whyNot(name, leaf)).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
    })

  it('a name, with one label for a *', async () => {
    expect(await whyNot('b.example', { names: ['b.example'] })).to.equal(null)
    expect(await whyNot('B.Example', { names: ['b.example'] })).to.equal(null)
    expect(await whyNot('b.example', { names: ['*.example'] })).to.be.instanceOf(Error)
    expect(await whyNot('a.b.example', { names: ['*.b.example'] })).to.equal(null)
    expect(await whyNot('x.a.b.example', { names: ['*.b.example'] })).to.be.instanceOf(Error)
  })

  it('an IPv6 destination is reached under any spelling of its address, and one for localhost alone is refused', async () => {
    const good = await listen(
      setting(),
      '::1',
      0,
      speaking(await setting().authority.issue({ ips: ['::1'] })),
    )
    const tls = await setting().authority.issue({ names: ['localhost'] })
    const bad = await listen(setting(), '::1', 0, speaking(tls))
    const { open } = makeDialler(setting())
    for (const tlsName of ['::1', '0::0001']) {
      const target = (port: number) => targetAt([tlsName], port, { tlsName, sni: null })
      expect(await open(target(good.port))).to.include({ kind: 'open' })
      expect(await open(target(bad.port))).to.deep.equal({
        ...{ kind: 'failed', stage: 'tls' },
        message: 'certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)',
      })
    }
  })
})

describe('whose certificate is not verified', () => {
  const setting = useSetting()
  const at = (tlsName: string, host = '192.0.2.1', port = 8448): Peer => ({ tlsName, host, port })

  it('a listed name, and no other', () => {
    const isInsecure = makeIsInsecure(['*.lab.example', 'b.example', 'p.example:8008', '[2001:db8::1]'])
    for (const peer of [
      ...[at('a.lab.example'), at('A.B.LAB.example'), at('b.example'), at('p.example', '192.0.2.1', 8008)],
      at('2001:DB8::0:1', '2001:db8::1'),
    ])
      expect(isInsecure(peer), peer.tlsName).to.equal(true)
    for (const peer of [
      ...[at('lab.example'), at('a.b.example'), at('b.example.org'), at('p.example'), at('2001:db8::2')],
      // What listed names lead to is not listed.
      at('c.example', 'b.example'),
    ])
      expect(isInsecure(peer), peer.tlsName).to.equal(false)
    expect(makeIsInsecure([])(at('b.example'))).to.equal(false)
  })

  it('an address in a listed range, and no other', () => {
    const isInsecure = makeIsInsecure(['10.0.0.0/8', '192.0.2.7', 'fd00:1::/32', '::1'])
    for (const host of ['10.1.2.3', '::ffff:10.1.2.3', '192.0.2.7', 'fd00:1::5', '::1', '0::1'])
      expect(isInsecure(at('b.example', host)), host).to.equal(true)
    for (const host of [
      '11.0.0.1',
      '192.0.2.70',
      'fd00:2::1',
      '::2',
      '64:ff9b::a00:1',
      '2002:a00:1::',
      '10.example',
      'b.example',
    ])
      expect(isInsecure(at('10.1.2.3.example', host)), host).to.equal(false)
  })

  for (const text of ['', '10.0.0.0/33', 'https://b.example', 'b.example.', 'a/b', '[::1'])
    it(`says what is wrong with ${JSON.stringify(text)}`, () => {
      expect(() => makeIsInsecure([text])).to.throw(TypeError, /^federation\.insecure_domains: /)
    })

  it('connects to those, and to nobody else of the same authority', async () => {
    const impostor = await makeCertificateAuthority(Date.now())
    const tls = await impostor.issue({ names: ['other.example'], expired: true })
    const server = await listen(setting(), '127.0.0.1', 0, speaking(tls))
    const byName = makeDialler(setting(), { isInsecure: makeIsInsecure(['*.lab.example']) })
    const byRange = makeDialler(setting(), { isInsecure: makeIsInsecure(['127.0.0.0/8']) })
    const target = (tlsName: string) => targetAt(['127.0.0.1'], server.port, { tlsName, sni: tlsName })
    expect(await byName.open(target('a.lab.example'))).to.include({ kind: 'open' })
    expect(await byName.open(target('b.example'))).to.include({ kind: 'failed', stage: 'tls' })
    expect(await byRange.open(target('b.example'))).to.include({ kind: 'open' })
  })

  it('still no old version of TLS', async () => {
    const tls = await setting().authority.issue()
    const old = { ...tls, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
    const server = await listen(setting(), '127.0.0.1', 0, speaking(old))
    const { open } = makeDialler(setting(), { isInsecure: () => true })
    expect(await open(targetAt(['127.0.0.1'], server.port))).to.include({ kind: 'failed', stage: 'tls' })
  })
})
