import { X509Certificate, createPrivateKey } from 'node:crypto'
import { expect } from 'chai'
import { makeCertificateAuthority } from '../../../src/simulate/fleet/certs.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const DAY_MS = 86_400_000

describe('certificates for loopback servers', () => {
  it('are an authority and leaves that it signed, as OpenSSL reads them', async () => {
    const authority = await makeCertificateAuthority(NOW, { name: 'an authority' })
    const ca = new X509Certificate(authority.cert)
    expect(ca.subject).to.equal('CN=an authority')
    expect(ca.ca).to.equal(true)
    expect(ca.verify(ca.publicKey)).to.equal(true)

    const { cert, key } = await authority.issue()
    const leaf = new X509Certificate(cert)
    expect(leaf.ca).to.equal(false)
    expect(leaf.checkIssued(ca)).to.equal(true)
    expect(leaf.verify(ca.publicKey)).to.equal(true)
    expect(leaf.checkPrivateKey(createPrivateKey(key))).to.equal(true)
    expect(leaf.keyUsage).to.deep.equal(['1.3.6.1.5.5.7.3.1'])
    expect(leaf.serialNumber).not.to.equal(ca.serialNumber)
  })

  it('are for loopback, or for the names and addresses asked for', async () => {
    const authority = await makeCertificateAuthority(NOW)
    const namesOf = async (...options: Parameters<typeof authority.issue>) =>
      new X509Certificate((await authority.issue(...options)).cert).subjectAltName
    expect(await namesOf()).to.equal('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1')
    expect(await namesOf({ names: ['b.example'] })).to.equal('DNS:b.example')
    const many = Array.from({ length: 40 }, (_, i) => `server-${i}.example`)
    expect(await namesOf({ names: many })).to.equal(many.map((name) => `DNS:${name}`).join(', '))
    expect(await namesOf({ ips: ['10.0.0.1', 'FE80::2'] })).to.equal(
      'IP Address:10.0.0.1, IP Address:FE80:0:0:0:0:0:0:2',
    )
  })

  it('live for a day from now, or ended a day ago', async () => {
    const authority = await makeCertificateAuthority(NOW)
    const until = async (expired: boolean) =>
      Date.parse(new X509Certificate((await authority.issue({ expired })).cert).validTo)
    expect(await until(false)).to.equal(NOW + DAY_MS)
    expect(await until(true)).to.equal(NOW - DAY_MS)
  })
})
