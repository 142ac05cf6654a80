import { expect } from 'chai'
import { pooledRandom } from '../../src/matrix/pooled-random.ts'

describe('random bytes for ids', () => {
  it('are as many as asked for, never the same twice, and stay what they are', () => {
    const given = Array.from({ length: 1_000 }, () => pooledRandom(16))
    const texts = given.map((bytes) => bytes.toString('hex'))
    expect(new Set(texts).size).to.equal(1_000)
    expect(texts.every(({ length }) => length === 32)).to.equal(true)
    pooledRandom(4_096)
    expect(given.map((bytes) => bytes.toString('hex'))).to.deep.equal(texts)
  })

  it('overlap nowhere, whatever sizes are asked for in turn', () => {
    const given = Array.from({ length: 400 }, (_, i) => pooledRandom(i % 2 === 0 ? 16 : 1_025))
    const pieces = given.flatMap((bytes) => [bytes.subarray(0, 16), bytes.subarray(-16)])
    expect(new Set(pieces.map((bytes) => bytes.toString('hex'))).size).to.equal(200 + 2 * 200)
  })
})
