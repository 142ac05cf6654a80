/** Whose bodies are one, and until when. */
import { expect } from 'chai'
import { makeSharedBodies } from '../../src/deliver/shared-bodies.ts'

describe('one body for many', () => {
  let time = 0
  const clock = { now: () => 1_000 + time, monotonic: () => time, sleep: () => Promise.resolve() }
  const bodyOf = makeSharedBodies({ origin: 'home.example', clock })
  const EVENTS = [
    { pos: 3, pdu: '{"n":3}' },
    { pos: 5, pdu: '{"n":"é"}' },
  ]

  it('is what a transaction of these events would be', () => {
    const body = bodyOf(EVENTS)
    expect(body.bytes.toString()).to.equal(
      '{"origin":"home.example","origin_server_ts":1000,"pdus":[{"n":3},{"n":"é"}]}',
    )
    expect(body.originServerTs).to.equal(1_000)
  })

  it('is shared for a moment', () => {
    time = 50
    expect(bodyOf([...EVENTS])).to.equal(bodyOf(EVENTS))
    expect(bodyOf(EVENTS).originServerTs).to.equal(1_000)
    time = 51
    expect(bodyOf(EVENTS).originServerTs).to.equal(1_051)
  })

  it('is another one for other events, or for one whose text was taken away meanwhile', () => {
    expect(bodyOf(EVENTS.slice(0, 1)).bytes.toString()).to.include('"pdus":[{"n":3}]')
    const redacted = EVENTS.map((event) => (event.pos === 5 ? { ...event, pdu: '{}' } : event))
    expect(bodyOf(redacted).bytes.toString()).to.include('"pdus":[{"n":3},{}]')
  })

  it('is forgotten when they are large: a few megabytes are kept, not two hundred bodies', () => {
    const large = (pos: number) => [{ pos, pdu: `{"n":"${'x'.repeat(3_000_000)}"}` }]
    const [first, second] = [bodyOf(large(21)), bodyOf(large(22))]
    expect([bodyOf(large(21)), bodyOf(large(22))], 'both fit').to.deep.equal([first, second])
    expect(bodyOf(large(22))).to.equal(second)
    bodyOf(large(23))
    expect(bodyOf(large(22)), 'the oldest has gone').to.equal(second)
    expect(bodyOf(large(21))).not.to.equal(first)
  })

  it('is forgotten when there are many', () => {
    const first = bodyOf(EVENTS)
    for (let pos = 10; pos < 300; pos += 1) bodyOf([{ pos, pdu: '{}' }])
    expect(bodyOf(EVENTS)).to.deep.equal(first)
    expect(bodyOf(EVENTS)).not.to.equal(first)
  })
})
