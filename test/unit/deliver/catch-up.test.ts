import { expect } from 'chai'
import { growsTo, nextBatch, worthCounting } from '../../../src/deliver/catch-up.ts'

const NOW = 1_000_000_000
const settings = { threshold_pdus: 500, min_age_ms: 300_000 }
const OLD = NOW - 300_001

describe('whether a backlog may become a gap (worthCounting)', () => {
  const rows: [string, { position: number; head: number; oldestReceived: number | null }, number | null][] = [
    ['nothing waits: no', { position: 0, head: 9_000, oldestReceived: null }, null],
    [
      'a burst of 9,000 that is five minutes old to the millisecond: no',
      { position: 0, head: 9_000, oldestReceived: NOW - 300_000 },
      null,
    ],
    [
      'one millisecond older: one more than the threshold is counted',
      { position: 0, head: 9_000, oldestReceived: OLD },
      501,
    ],
    [
      'old, but no more positions than the threshold: no',
      { position: 100, head: 600, oldestReceived: OLD },
      null,
    ],
    ['old, and one position more: counted', { position: 100, head: 601, oldestReceived: OLD }, 501],
    ['a clock that went back: no', { position: 0, head: 9_000, oldestReceived: NOW + 1 }, null],
  ]
  for (const [title, at, expected] of rows) {
    it(title, () => expect(worthCounting(at, NOW, settings)).to.equal(expected))
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
