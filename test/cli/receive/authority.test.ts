import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { openAuthority } from '../../../src/cli/receive/authority.ts'

const NOW = Date.UTC(2026, 0, 2)
const YEAR_MS = 365 * 86_400_000

describe('the certificate authority of limpet receive', () => {
  let dir: string
  let folder: string
  let opened = 0
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'limpet-authority-'))
    folder = join(dir, 'receive')
  })
  afterEach(() => rmSync(dir, { recursive: true, force: true }))
  const open = (now = NOW) => openAuthority(folder, { now, suffix: `${opened++}` })

  it('is made once, for its user alone, and signs certificates for the address that are good as long as it', async () => {
    const first = await open()
    const again = await open(NOW + YEAR_MS)
    expect(again.authority.cert).to.equal(first.authority.cert)
    expect([first.replaced, again.replaced]).to.deep.equal([null, null])
    expect(readFileSync(first.caPath, 'utf8')).to.equal(first.authority.cert)
    expect(readdirSync(folder).sort()).to.deep.equal(['authority.pem', 'ca.pem'])
    expect(statSync(folder).mode & 0o777).to.equal(0o700)
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777).to.equal(0o600)

    const ca = new X509Certificate(first.authority.cert)
    for (const { authority } of [first, again]) {
      const { cert, key } = await authority.issue({ ips: ['127.0.0.1'] })
      const leaf = new X509Certificate(cert)
      expect(leaf.verify(ca.publicKey)).to.equal(true)
      expect(leaf.checkIP('127.0.0.1')).to.equal('127.0.0.1')
      expect(leaf.checkPrivateKey(createPrivateKey(key))).to.equal(true)
      expect(Date.parse(leaf.validTo)).to.be.within(NOW + 9.9 * YEAR_MS, Date.parse(ca.validTo))
    }
  })

  it('is made anew a year before it ends, and where it is damaged, with the reason', async () => {
    const { authority, caPath } = await open()
    const next = await open(NOW + 9 * YEAR_MS + 86_400_000)
    expect(next.replaced).to.equal('the old one had less than a year to live')
    expect(next.authority.cert).not.to.equal(authority.cert)
    writeFileSync(join(folder, 'authority.pem'), `${authority.cert}\n${next.authority.key}\n`)
    const mended = await open()
    expect(mended.replaced).to.equal('the old one was damaged')
    expect(readFileSync(caPath, 'utf8')).to.equal(mended.authority.cert)
    writeFileSync(caPath, 'nonsense')
    expect((await open()).replaced).to.equal(null)
    expect(readFileSync(caPath, 'utf8')).to.equal(mended.authority.cert)
  })

  it('is one where two are started at once', async () => {
    const [one, other] = await Promise.all([open(), open()])
    expect(one.authority.cert).to.equal(other.authority.cert)
  })
})
