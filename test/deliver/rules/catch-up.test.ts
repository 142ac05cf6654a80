import { expect } from 'chai'
import { growsTo, isOld, nextBatch, worthCounting } from '../../../src/deliver/rules/catch-up.ts'

const NOW = 1_000_000_000
const settings = { threshold_pdus: 500, min_age_ms: 300_000 }

describe('whether a backlog may become a gap', () => {
  const counted: [string, { position: number; head: number }, number | null][] = [
    ['no more positions than the threshold: no', { position: 100, head: 600 }, null],
    ['one position more: one more than the threshold is counted', { position: 100, head: 601 }, 501],
  ]
  for (const [title, at, expected] of counted) {
    it(title, () => expect(worthCounting(at, settings)).to.equal(expected))
  }
  const ages: [string, number, boolean][] = [
    ['five minutes old to the millisecond: not yet', NOW - 300_000, false],
    ['one millisecond older: yes', NOW - 300_001, true],
    ['a clock that went back: no', NOW + 1, false],
  ]
  for (const [title, receivedTs, expected] of ages) {
    it(title, () => expect(isOld({ receivedTs }, NOW, settings)).to.equal(expected))
  }
})

describe('whether a gap grows (growsTo)', () => {
  const rows: [string, { from: number; to: number; cursor: number }, number, number | null][] = [
    ['with nothing acknowledged: to the head', { from: 10, to: 20, cursor: 10 }, 30, 30],
    ['with nothing new: no', { from: 10, to: 20, cursor: 10 }, 20, null],
    ['with one room acknowledged: no, its range is fixed', { from: 10, to: 20, cursor: 11 }, 30, null],
  ]
  for (const [title, gap, head, expected] of rows) {
    it(title, () => expect(growsTo(gap, head)).to.equal(expected))
  }
})

describe('rooms in the next transaction of a gap (nextBatch)', () => {
  const rows: [string, number, { durationMs: number; timedOut: boolean }, number][] = [
    ['a quick answer doubles', 1, { durationMs: 1_999, timedOut: false }, 2],
    ['up to fifty', 32, { durationMs: 10, timedOut: false }, 50],
    ['two seconds are not quick: it stays', 8, { durationMs: 2_000, timedOut: false }, 8],
    ['ten seconds are not slow: it stays', 8, { durationMs: 10_000, timedOut: false }, 8],
    ['more than ten seconds halve', 8, { durationMs: 10_001, timedOut: false }, 4],
    ['a time-out halves, however short', 9, { durationMs: 500, timedOut: true }, 4],
    ['never below one', 1, { durationMs: 60_000, timedOut: true }, 1],
  ]
  for (const [title, batch, answer, expected] of rows) {
    it(title, () => expect(nextBatch(batch, answer)).to.equal(expected))
  }
})
