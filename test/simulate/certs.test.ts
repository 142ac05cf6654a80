import { X509Certificate, createPrivateKey } from 'node:crypto'
import { expect } from 'chai'
import { makeCertificateAuthority } from '../../src/simulate/certs.ts'
import { addressBytes, bits, integer, oid, octets, time } from '../../src/simulate/der.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5)
const DAY_MS = 86_400_000

describe('certificates for loopback servers', () => {
  it('are an authority and leaves that it signed, as OpenSSL reads them', async () => {
    const authority = await makeCertificateAuthority(NOW, 'an authority')
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

describe('DER', () => {
  const hex = (value: Buffer) => value.toString('hex')

  it('writes numbers without superfluous bytes and never as a minus', () => {
    expect(hex(integer(Buffer.from([0, 0, 5])))).to.equal('020105')
    expect(hex(integer(Buffer.from([0])))).to.equal('020100')
    expect(hex(integer(Buffer.from([0x80])))).to.equal('02020080')
  })

  it('writes lengths from 128 on in more than one byte', () => {
    expect(hex(octets(Buffer.alloc(127))).slice(0, 4)).to.equal('047f')
    expect(hex(octets(Buffer.alloc(128))).slice(0, 6)).to.equal('048180')
    expect(hex(octets(Buffer.alloc(256))).slice(0, 8)).to.equal('04820100')
  })

  it('writes object identifiers, bits, times and addresses', () => {
    expect(hex(oid('1.2.840.10045.4.3.2'))).to.equal('06082a8648ce3d040302')
    expect(hex(bits(Buffer.from([0x06]), 1))).to.equal('03020106')
    expect(time(NOW).toString('latin1')).to.equal('\x17\x0d260102030405Z')
    expect(time(Date.UTC(2050, 0, 1)).toString('latin1')).to.equal('\x18\x0f20500101000000Z')
    expect(hex(addressBytes('2001:db8::a:1'))).to.equal('20010db80000000000000000000a0001')
    expect(hex(addressBytes('::'))).to.equal('0'.repeat(32))
    expect(hex(addressBytes('1:2:3:4:5:6:7:8'))).to.equal('00010002000300040005000600070008')
    expect(hex(addressBytes('::ffff:192.0.2.1'))).to.equal('00000000000000000000ffffc0000201')
  })
})
