import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { loadSigningKey } from '../../src/config/files.ts'
import { generateKey, readSigningKey } from '../../src/matrix/signing.ts'
import { skip } from '../support/skip.ts'

describe("a key file in another homeserver's format", () => {
  let dir: string
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), "limpet's keys-"))))
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  const refusal = (text: string): string => {
    const file = join(dir, 'matrix key.pem')
    writeFileSync(file, text, { mode: 0o600 })
    try {
      loadSigningKey(file)
    } catch (error) {
      const { message } = error as Error
      expect(message).to.include(`signing_key_path: ${file}: `).and.not.to.include('\n')
      return message
    }
    throw new Error('it was taken')
  }
  /** Runs what the message says is to be run, in the folder of the file, and reads the key that it makes. */
  const convert = (message: string) => {
    const command = /convert it with: (.*)$/.exec(message)?.[1] ?? ''
    execFileSync('sh', ['-c', command], { cwd: dir })
    return loadSigningKey(join(dir, 'signing.key'))
  }
  const dendrite = (seed: Buffer, end: string) =>
    [
      '-----BEGIN MATRIX PRIVATE KEY-----',
      'Key-ID: ed25519:kY_1',
      '',
      seed.toString('base64'),
      '-----END MATRIX PRIVATE KEY-----',
      '',
    ].join(end)

  for (const [name, end] of [
    ['', '\n'],
    [' with the line ends of Windows', '\r\n'],
  ] as const) {
    it(`of Dendrite${name} is named, and the command that is given makes ours of it`, () => {
      const { fileText } = generateKey(randomBytes)
      const seed = Buffer.from(fileText.trim().split(' ')[2] ?? '', 'base64')
      const message = refusal(dendrite(seed, end))
      expect(message).to.include("Dendrite's format")
      const key = convert(message)
      expect(key.keyId).to.equal('ed25519:kY_1')
      expect(key.publicKey).to.equal(readSigningKey(fileText).publicKey)
      expect(message).not.to.include(seed.toString('base64'))
    })
  }

  it('of PKCS#8 is named, and the command that is given makes ours of it', function () {
    try {
      execFileSync('openssl', ['version'])
    } catch {
      skip(this, 'no openssl')
    }
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const message = refusal(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())
    expect(message).to.include('PKCS#8').and.to.include('VERSION')
    const key = convert(message)
    expect(key.keyId).to.equal('ed25519:VERSION')
    expect(Buffer.from(key.publicKey, 'base64')).to.deep.equal(
      Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
    )
  })

  it('that can sign nothing is said to be one, and whatever it is stays secret', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    expect(refusal(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())).to.match(
      /a PEM file with a key of type ec, and only ed25519 keys sign for a homeserver$/,
    )
    const secret = randomBytes(32).toString('base64')
    for (const kind of ['OPENSSH PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'CERTIFICATE', 'PRIVATE KEY']) {
      const message = refusal(`-----BEGIN ${kind}-----\n${secret}\n-----END ${kind}-----\n`)
      expect(message).to.include(`a PEM file (${kind})`).and.not.to.include(secret)
    }
  })
})
