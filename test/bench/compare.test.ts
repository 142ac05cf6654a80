import { expect } from 'chai'
import {
  comparison,
  isWorse,
  judge,
  median,
  middleOf,
  unquiet,
  type Figures,
  type Pair,
} from './compare-verdict.ts'

const FIGURES: Figures = {
  raw: 9_500,
  rawCpu: 2.4,
  steady: 6_175,
  limpetCpu: 3.2,
  postgresCpu: 0.9,
  pdus: 4,
  statements: 0.25,
  walBytes: 5_000,
}
const TOLERANCE = 0.03

const pairOf = (changed: Partial<Figures>): Pair => ({ old: FIGURES, new: { ...FIGURES, ...changed } })
const rowOf = (pairs: readonly Pair[], what: string) =>
  judge(pairs, TOLERANCE).find((row) => row.what.includes(what))!

describe('the comparison of two checkouts', () => {
  it('finds nothing worse in a checkout that is as the other', () => {
    const rows = judge([pairOf({}), pairOf({}), pairOf({})], TOLERANCE)
    expect(isWorse(rows)).to.equal(false)
    expect(rows.map(({ ratio }) => ratio)).to.deep.equal(rows.map(() => 1))
  })

  it('takes medians: of the figures, and of the ratios of each pair', () => {
    expect(median([3])).to.equal(3)
    expect(median([9, 1, 5])).to.equal(5)
    expect(median([4, 1, 3, 100])).to.equal(3.5)
    // The machine was half as fast in the second pair, for both; the third has one wild figure.
    const pairs: Pair[] = [
      { old: { ...FIGURES, statements: 1 }, new: { ...FIGURES, statements: 1.02 } },
      { old: { ...FIGURES, statements: 2 }, new: { ...FIGURES, statements: 2.02 } },
      { old: { ...FIGURES, statements: 1.5 }, new: { ...FIGURES, statements: 15 } },
    ]
    const row = rowOf(pairs, 'statements')
    expect([row.old, row.new]).to.deep.equal([1.5, 2.02])
    expect(row.ratio).to.equal(1.02)
    expect(row.spread).to.deep.equal([1.01, 10])
    expect(row.worse).to.equal(false)
  })

  for (const [what, figure, worse] of [
    ['ratio to the raw loop', 'steady', 0.95],
    ['PDUs', 'pdus', 0.95],
    ["limpet's CPU", 'limpetCpu', 1.05],
    ["sender's CPU", 'rawCpu', 1.05],
    ['statements', 'statements', 1.05],
    ['WAL', 'walBytes', 1.05],
  ] as const) {
    const changedBy = (factor: number) => [pairOf({ [figure]: (FIGURES[figure] ?? NaN) * factor })]

    it(`says worse of ${what} beyond the tolerance, on the wrong side alone`, () => {
      expect(rowOf(changedBy(worse), what).worse).to.equal(true)
      expect(isWorse(judge(changedBy(worse), TOLERANCE))).to.equal(true)
      expect(isWorse(judge(changedBy(worse < 1 ? 0.98 : 1.02), TOLERANCE))).to.equal(false)
      expect(isWorse(judge(changedBy(1 / worse), TOLERANCE))).to.equal(false)
      expect(isWorse(judge(changedBy(worse), 0.06))).to.equal(false)
    })
  }

  it('takes no client that became quicker for a slower daemon', () => {
    const rows = judge([pairOf({ raw: 2 * FIGURES.raw, steady: 1.1 * FIGURES.steady })], TOLERANCE)
    expect(rows.find(({ what }) => what.includes('ratio to the raw loop'))?.ratio).to.be.closeTo(1.1, 0.001)
    expect(isWorse(rows)).to.equal(false)
  })

  it('judges neither absolute speed nor the processor time of PostgreSQL, which autovacuum and others share', () => {
    const rows = judge([pairOf({ raw: 4_000, postgresCpu: 2 })], TOLERANCE)
    expect(isWorse(rows)).to.equal(false)
    expect(comparison(rows, TOLERANCE)).to.match(/raw loop, transactions\/s +9,500 +4,000 .*only shown/)
  })

  it('says that it cannot tell where processor times are unknown, and judges the rest', () => {
    const pairs: Pair[] = [
      { old: { ...FIGURES, limpetCpu: null }, new: { ...FIGURES, limpetCpu: null, statements: 0.5 } },
    ]
    expect(rowOf(pairs, "limpet's CPU")).to.include({ old: null, new: null, ratio: null, worse: null })
    expect(comparison(judge(pairs, TOLERANCE), TOLERANCE)).to.match(/limpet's CPU.* - .*not known here/)
    expect(isWorse(judge(pairs, TOLERANCE))).to.equal(true)
  })

  it('shows the run in the middle, in whatever order they came', () => {
    const runs = [4.11, 3.48, 3.06, 3.6, 3.87].map((seconds) => ({ seconds }))
    expect(middleOf(runs, ({ seconds }) => seconds)).to.deep.equal({ seconds: 3.6 })
    expect(middleOf([2, 1], (n) => n)).to.equal(1)
    expect(middleOf<number>([], (n) => n)).to.equal(undefined)
  })

  it('takes work where there was none for worse, and none for none as equal', () => {
    const none = { ...FIGURES, statements: 0 }
    expect(rowOf([{ old: none, new: FIGURES }], 'statements').worse).to.equal(true)
    expect(rowOf([{ old: none, new: none }], 'statements')).to.include({ ratio: 1, worse: false })
    // No figure at all is never good.
    expect(rowOf([pairOf({ statements: NaN })], 'statements').worse).to.equal(true)
  })

  it('is one table: OLD, NEW, NEW/OLD, the pairs, and the verdict', () => {
    const pairs = [pairOf({ statements: 0.3 }), pairOf({ statements: 0.28 }), pairOf({ statements: 0.35 })]
    const lines = comparison(judge(pairs, TOLERANCE), TOLERANCE).split('\n')
    expect(lines[0]).to.match(/^MEASURED +OLD +NEW +NEW\/OLD +OF THE PAIRS +WORSE BY > 3.0 %$/)
    expect(lines.find((line) => line.startsWith('steady, statements'))).to.match(
      / 0\.250 +0\.300 +1\.200 +1\.120 to 1\.400 +WORSE$/,
    )
    expect(lines.find((line) => line.startsWith('steady, ratio'))).to.match(/ 0\.650 +0\.650 +1\.000 .* ok$/)
    expect(Math.max(...lines.map(({ length }) => length))).to.be.at.most(120)
  })

  it('warns of a machine that is not quiet, by its raw loop', () => {
    expect(unquiet([pairOf({})])).to.equal(null)
    const slow = { ...FIGURES, raw: 6_000 }
    expect(unquiet([{ old: slow, new: slow }])).to.match(
      /not quiet.*6,000\/s.*9,000\/s.*only the ratios count/,
    )
  })
})
