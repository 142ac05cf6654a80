import { expect } from 'chai'
import { lifeOfAbsence, lifeOfAnswer, lifeOfError } from '../../src/discovery/lifetime.ts'
import { CAME_AT, LIFETIMES } from './lifetimes.ts'

const MINUTE = 60_000

describe('how long an answer of .well-known counts', () => {
  for (const { about, headers, valid, absent } of LIFETIMES) {
    it(`${JSON.stringify(headers)}${about === '' ? '' : `: ${about}`}`, () => {
      expect(lifeOfAnswer(headers, CAME_AT) / MINUTE).to.equal(valid)
      expect(lifeOfAbsence(headers, CAME_AT) / MINUTE).to.equal(absent)
    })
  }

  it('errors: a minute, and twice as long each time, up to an hour', () => {
    const waits = { firstErrorMs: MINUTE, longestErrorMs: 60 * MINUTE }
    const lives = [1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => lifeOfError(failures, 0, waits) / MINUTE)
    expect(lives).to.deep.equal([1, 2, 4, 8, 16, 32, 60, 60, 60])
    expect(lifeOfError(1, 1, waits) / MINUTE).to.equal(0.8)
  })

  it('no setting of the waits makes an error count for longer than an hour', () => {
    expect(lifeOfError(20, 0, { firstErrorMs: 24 * 60 * MINUTE, longestErrorMs: Infinity })).to.equal(
      60 * MINUTE,
    )
  })
})
