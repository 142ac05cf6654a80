import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { generateKey, KeyFileError, readSigningKey, selfTest, verify } from '../../src/matrix/signing.ts'
import { specVectors } from './fixtures.ts'

const { seed } = specVectors

describe('signing keys', () => {
  it("reads Synapse's format, passing over blank lines and comments; the first key signs", () => {
    const key = readSigningKey(`\n# our key\n\ted25519  a_AbCd ${seed}=\r\ned25519 old ${'A'.repeat(43)}\n`)
    expect(key.keyId).to.equal('ed25519:a_AbCd')
    expect(key.publicKey).to.equal(readSigningKey(`ed25519 1 ${seed}`).publicKey)
  })

  it('signs the bytes of the specification with its key', () => {
    const key = readSigningKey(`ed25519 1 ${seed}\n`)
    const signature = 'K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ'
    expect(key.sign('{}')).to.equal(signature)
    expect(key.sign(Buffer.from('{}'))).to.equal(signature)
    expect(verify(key.publicKey, '{}', signature)).to.equal(true)
    expect(verify(Buffer.from(key.publicKey, 'base64'), Buffer.from('{}'), `${signature}==`)).to.equal(true)
  })

  for (const [what, text, message] of [
    ['nothing', '', 'holds no key'],
    ['only comments', '# ed25519 a b\n\n', 'holds no key'],
    ['two words', 'ed25519 a_1', 'line 1 of the signing key file: should be'],
    ['four words', `ed25519 a_1 ${seed} x`, 'should be'],
    ['another algorithm', `\ncurve25519 a_1 ${seed}`, 'line 2 of the signing key file: only ed25519'],
    ['a version with a quote', `ed25519 a"1 ${seed}`, 'the version'],
    ['a short seed', `ed25519 a_1 ${seed.slice(1)}`, '32 bytes'],
    ['a long seed', `ed25519 a_1 ${seed}${seed}`, '32 bytes'],
    ['a seed that is no base64', `ed25519 a_1 ${'!'.repeat(43)}`, '32 bytes'],
    ['a PEM file', `-----BEGIN PRIVATE KEY-----\n${seed}\n-----END PRIVATE KEY-----`, 'line 1'],
  ] as const) {
    it(`refuses a file with ${what}, and does not repeat it`, () => {
      const attempt = () => readSigningKey(text)
      expect(attempt).to.throw(KeyFileError, message)
      expect(attempt).not.to.throw(new RegExp(seed.slice(5, 20)))
    })
  }

  it('makes keys whose file reads back, and which pass the self-test', () => {
    const { key, fileText } = generateKey(randomBytes)
    const again = readSigningKey(fileText)
    expect(again.keyId)
      .to.equal(key.keyId)
      .and.to.match(/^ed25519:a_[a-z]{4}$/)
    expect(again.publicKey).to.equal(key.publicKey)
    expect(selfTest(again)).to.equal(true)
    expect(generateKey(randomBytes).key.publicKey).not.to.equal(key.publicKey)
  })

  it('fails the self-test when the two halves of a key do not belong together', () => {
    const key = generateKey(randomBytes).key
    expect(selfTest({ ...key, publicKey: generateKey(randomBytes).key.publicKey })).to.equal(false)
  })

  it('calls a changed text, signature or key not valid, and so everything malformed', () => {
    const { key } = generateKey(randomBytes)
    const signature = key.sign('text')
    const flipped = (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)
    expect(verify(key.publicKey, 'text', signature)).to.equal(true)
    expect(verify(key.publicKey, 'Text', signature)).to.equal(false)
    expect(verify(key.publicKey, 'text', flipped)).to.equal(false)
    for (const bad of ['', 'x', '!'.repeat(86), signature.slice(2)]) {
      expect(verify(key.publicKey, 'text', bad)).to.equal(false)
      expect(verify(bad, 'text', signature)).to.equal(false)
    }
  })
})
