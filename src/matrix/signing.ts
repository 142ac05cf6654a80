/**
 * The homeserver's ed25519 key: reads it, signs with it, and proves that the signatures are right.
 *
 * There are two implementations on purpose. `node:crypto` signs: 30 to 50 µs with a key object that is made once
 * (making it for every request would cost ten times that). tweetnacl (10 ms) makes keys, derives the public half and
 * verifies. So a fault in one is seen by the other before it leaves limpet. A seed never appears in an error
 * message.
 */
import { createPrivateKey, sign } from 'node:crypto'
import nacl from 'tweetnacl'
import { KeyFileError } from './key-file-error.ts'

export { KeyFileError }

export interface SigningKey {
  /** `ed25519:VERSION`, as in a `signatures` object and in X-Matrix. */
  readonly keyId: string
  /** The public half, unpadded base64, as published under `/_matrix/key/v2/server`. */
  readonly publicKey: string
  /** The signature of exactly these bytes (a string: its UTF-8), unpadded base64. The bytes are not kept. */
  sign(bytes: Uint8Array | string): string
}

const SEED_BYTES = 32
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/
// The spec's key ids are of letters, digits and `_`; the rest has been seen and needs no quoting in a header.
const VERSION = /^[A-Za-z0-9_.+=/-]+$/
// RFC 8410: a PKCS #8 `PrivateKeyInfo` of an ed25519 key is these bytes and then the seed.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * Reads a key file in Synapse's format: `ed25519 VERSION BASE64SEED` a line, the first of which signs. Blank
 * lines and lines that start with `#` are passed over.
 * @throws KeyFileError
 */
export function readSigningKey(fileText: string): SigningKey {
  for (const [index, line] of fileText.split(/\r?\n/).entries()) {
    const words = line.trim().split(/\s+/)
    const [algorithm, version, seedText] = words
    if (algorithm === undefined || algorithm === '' || algorithm.startsWith('#')) continue
    const fail = (why: string): never => {
      throw new KeyFileError(`line ${index + 1} of the signing key file: ${why}`)
    }
    if (version === undefined || seedText === undefined || words.length > 3) {
      return fail('should be: ed25519 VERSION BASE64SEED')
    }
    if (algorithm !== 'ed25519') return fail('only ed25519 keys can sign')
    if (!VERSION.test(version)) return fail('the version has characters that a key id cannot have')
    const seed = Buffer.from(seedText, 'base64')
    if (!BASE64.test(seedText) || seed.length !== SEED_BYTES)
      return fail('the seed should be 32 bytes in base64')
    return signingKeyFromSeed(seed, version)
  }
  throw new KeyFileError('the signing key file holds no key')
}

/** A key that is ready to sign, from its 32-byte seed. */
export function signingKeyFromSeed(seed: Uint8Array, version: string): SigningKey {
  const publicKey = unpadded(nacl.sign.keyPair.fromSeed(seed).publicKey)
  const der = Buffer.concat([PKCS8_PREFIX, seed])
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return {
    keyId: `ed25519:${version}`,
    publicKey,
    sign: (bytes) => unpadded(sign(null, typeof bytes === 'string' ? Buffer.from(bytes) : bytes, privateKey)),
  }
}

/** Makes a key, and the text of a key file that holds it. `randomBytes` must be a source fit for secrets. */
export function generateKey(randomBytes: (size: number) => Uint8Array): {
  key: SigningKey
  fileText: string
} {
  const seed = randomBytes(SEED_BYTES)
  // Like Synapse's `a_AbCd`: a new key for an old name must not come under an id that others have cached.
  const version = `a_${Array.from(randomBytes(4), (byte) => String.fromCharCode(0x61 + (byte % 26))).join('')}`
  const key = signingKeyFromSeed(seed, version)
  return { key, fileText: `ed25519 ${version} ${unpadded(seed)}\n` }
}

/**
 * Whether `signature` (base64) is `publicKey`'s (32 bytes, or base64) over `bytes` (a string: its UTF-8).
 * By tweetnacl, about 10 ms. Malformed keys and signatures are simply not valid.
 */
export function verify(
  publicKey: Uint8Array | string,
  bytes: Uint8Array | string,
  signature: string,
): boolean {
  const key = typeof publicKey === 'string' ? fromBase64(publicKey) : publicKey
  const signed = fromBase64(signature)
  if (key?.length !== nacl.sign.publicKeyLength || signed?.length !== nacl.sign.signatureLength) return false
  // tweetnacl wants plain Uint8Arrays, which Buffers are.
  return nacl.sign.detached.verify(typeof bytes === 'string' ? Buffer.from(bytes) : bytes, signed, key)
}

/** Signs with node:crypto and checks with tweetnacl: false means that nothing may be signed with this key here. */
export function selfTest(key: SigningKey): boolean {
  const text = '{"limpet":"self-test"}'
  return verify(key.publicKey, text, key.sign(text))
}

function fromBase64(text: string): Uint8Array | null {
  return BASE64.test(text) ? Buffer.from(text, 'base64') : null
}

function unpadded(bytes: Uint8Array): string {
  const padded = (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)).toString('base64')
  const end = padded.indexOf('=')
  return end < 0 ? padded : padded.slice(0, end)
}
