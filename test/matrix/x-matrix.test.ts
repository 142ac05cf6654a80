import { expect } from 'chai'
import fc from 'fast-check'
import { canonicalFromValue } from '../../src/matrix/canonical-json.ts'
import { readSigningKey, verify } from '../../src/matrix/signing.ts'
import { authorizationFor, parseXMatrix, textToSign } from '../../src/matrix/x-matrix.ts'
import { specVectors } from './fixtures.ts'

const key = readSigningKey(`ed25519 a_1 ${specVectors.seed}`)

describe('X-Matrix', () => {
  const request = {
    origin: 'a.example',
    destination: '[::1]:8448',
    method: 'PUT',
    uri: '/_matrix/federation/v1/send/x?y=1',
  }

  it('signs the canonical JSON of the request, with and without a body', () => {
    fc.assert(
      fc.property(
        fc.option(fc.dictionary(fc.string(), fc.string()), { nil: undefined }),
        fc.webPath(),
        (content, uri) => {
          const contentText = content === undefined ? {} : { contentText: canonicalFromValue(content) }
          const text = textToSign({ ...request, uri, ...contentText })
          expect(text).to.equal(canonicalFromValue({ ...request, uri, content }))
        },
      ),
    )
  })

  it('writes a header that old servers read, and whose signature verifies', () => {
    const header = authorizationFor({ ...request, key, content: Buffer.from('{"pdus":[]}') })
    expect(header).to.match(
      /^X-Matrix origin="a\.example",destination="\[::1\]:8448",key="ed25519:a_1",sig="[\w+/]{86}"$/,
    )
    const parsed = parseXMatrix(header)!
    expect(parsed).to.include({ origin: 'a.example', destination: '[::1]:8448', keyId: 'ed25519:a_1' })
    const signed =
      '{"content":{"pdus":[]},"destination":"[::1]:8448","method":"PUT","origin":"a.example","uri":"/_matrix/federation/v1/send/x?y=1"}'
    expect(verify(key.publicKey, signed, parsed.signature)).to.equal(true)
  })

  it('signs each body as it is, whatever was signed before it', () => {
    for (const length of [9, 40_000, 3, 130_900, 140_000, 12]) {
      const content = `{"a":"${'é'.repeat(length)}"}`
      const { signature } = parseXMatrix(
        authorizationFor({ ...request, key, content: Buffer.from(content) }),
      )!
      expect(signature, String(length)).to.equal(key.sign(textToSign({ ...request, contentText: content })))
    }
  })

  for (const [what, header] of [
    [
      'names in capitals, spaces and tabs at commas',
      'x-matrix   Origin="o" ,\tDESTINATION="d"\t, key="k:1",Sig="s" ',
    ],
    ['bare values with colons', 'X-Matrix origin=o,destination=d,key=k:1,sig=s'],
    [
      'escapes and parameters of tomorrow',
      'X-Matrix origin="\\o",new="a,b=\\"c",destination="d",key="k\\:1",sig="s"',
    ],
  ] as const) {
    it(`reads ${what}`, () => {
      expect(parseXMatrix(header)).to.deep.equal({
        origin: 'o',
        destination: 'd',
        keyId: 'k:1',
        signature: 's',
      })
    })
  }

  it('reads a header without a destination as one', () => {
    expect(parseXMatrix('X-Matrix origin="o",key="k",sig="s"')?.destination).to.equal(null)
  })

  for (const header of [
    '',
    'Bearer x',
    'X-Matrix',
    'X-Matrix ',
    'X-Matrixorigin="o",key="k",sig="s"',
    'X-Matrix origin="o",key="k"',
    'X-Matrix origin="o",key="k",sig="s",',
    'X-Matrix origin="o",key="k",sig="s",origin="p"',
    'X-Matrix origin="o",key="k",sig="s',
    'X-Matrix origin="o" key="k" sig="s"',
    'X-Matrix origin="o",key="k",sig=a+b/c',
    'X-Matrix origin=,key="k",sig="s"',
    'X-Matrix origin="o",,key="k",sig="s"',
  ]) {
    it(`refuses ${header === '' ? 'an empty header' : header}`, () => {
      expect(parseXMatrix(header)).to.equal(null)
    })
  }
})
