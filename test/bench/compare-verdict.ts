/**
 * Is the new one worse than the old one? Every figure is the median of what the pairs of runs gave. NEW/OLD is the
 * median of the pairs' own ratios: the two runs of a pair stood next to each other, so that what else went on at the
 * machine touched both. Worse is what is beyond the tolerance on the wrong side; what is only shown never is.
 */
import { table } from '../../src/cli/admin/table.ts'

/** What one run of one checkout gave. Null: this machine can't tell (processor times are Linux's). */
export interface Figures {
  /** Transactions a second of the raw loop. */
  raw: number
  /** Processor time of the raw loop's sender over that of the receivers. */
  rawCpu: number | null
  /** Transactions a second in steady traffic. */
  steady: number
  /** Processor time over that of the receivers, within the window of the steady traffic. */
  limpetCpu: number | null
  postgresCpu: number | null
  /** A transaction. */
  pdus: number
  statements: number
  walBytes: number
}

export interface Pair {
  old: Figures
  new: Figures
}

export interface Row {
  what: string
  /** Medians. */
  old: number | null
  new: number | null
  /** NEW/OLD: the median of the pairs, the least of them and the greatest. */
  ratio: number | null
  spread: readonly [number, number] | null
  /** Null where it is only shown, or can't be told. */
  worse: boolean | null
  digits: number
}

interface Measure {
  of: keyof Figures | typeof ofRaw
  what: string
  /** Null: only shown. */
  better: 'more' | 'less' | null
  digits: number
}

const MEASURES: readonly Measure[] = [
  { of: 'raw', what: 'raw loop, transactions/s', better: null, digits: 0 },
  { of: 'rawCpu', what: "raw loop, sender's CPU over receivers'", better: 'less', digits: 2 },
  { of: ofRaw, what: 'steady, ratio to the raw loop', better: 'more', digits: 3 },
  { of: 'limpetCpu', what: "steady, limpet's CPU over receivers'", better: 'less', digits: 2 },
  { of: 'postgresCpu', what: "steady, PostgreSQL's CPU over receivers'", better: null, digits: 2 },
  { of: 'pdus', what: 'steady, PDUs a transaction', better: 'more', digits: 2 },
  { of: 'statements', what: 'steady, statements a transaction', better: 'less', digits: 3 },
  { of: 'walBytes', what: 'steady, WAL bytes a transaction', better: 'less', digits: 0 },
]

/**
 * Steady traffic over the mean of the pair's two raw loops. Not over its own: a checkout whose client has become quicker
 * would stand there as slower.
 */
function ofRaw(of: Figures, { old, new: young }: Pair): number {
  return (2 * of.steady) / (old.raw + young.raw)
}

/** Below this the machine does something else beside. */
const QUIET_RAW = 9_000

/** @param tolerance 0.03: three percent worse is not worse yet */
export function judge(pairs: readonly Pair[], tolerance: number): Row[] {
  return MEASURES.map(({ of, what, better, digits }) => {
    const figureOf = (one: Figures, pair: Pair) => (typeof of === 'function' ? of(one, pair) : one[of])
    const olds = pairs.map((pair) => figureOf(pair.old, pair))
    const news = pairs.map((pair) => figureOf(pair.new, pair))
    if (!known(olds) || !known(news))
      return { what, old: null, new: null, ratio: null, spread: null, worse: null, digits }
    const ratios = olds.map((old, index) => ratioOf(old, news[index] ?? NaN))
    const ratio = median(ratios)
    const worse =
      better === null ? null : !(better === 'more' ? ratio >= 1 - tolerance : ratio <= 1 + tolerance)
    const spread = [Math.min(...ratios), Math.max(...ratios)] as const
    return { what, old: median(olds), new: median(news), ratio, spread, worse, digits }
  })
}

export const isWorse = (rows: readonly Row[]) => rows.some(({ worse }) => worse === true)

/** The middle one, or the mean of the two in the middle. */
export function median(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b)
  const half = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(half) - 1] ?? NaN, sorted[Math.floor(half)] ?? NaN]
  return (low + high) / 2
}

/** The item in the middle, by `figure`; of two the lesser. */
export function middleOf<T>(items: readonly T[], figure: (item: T) => number): T | undefined {
  return items.toSorted((a, b) => figure(a) - figure(b))[Math.ceil(items.length / 2) - 1]
}

export function comparison(rows: readonly Row[], tolerance: number): string {
  const figure = (value: number | null, digits: number) =>
    value?.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits }) ?? null
  const verdict = ({ worse, ratio }: Row) =>
    ratio === null ? 'not known here' : worse === null ? 'only shown' : worse ? 'WORSE' : 'ok'
  const text = table<Row>(
    rows,
    [
      { title: 'MEASURED', value: ({ what }) => what },
      { title: 'OLD', value: (row) => figure(row.old, row.digits), right: true },
      { title: 'NEW', value: (row) => figure(row.new, row.digits), right: true },
      { title: 'NEW/OLD', value: ({ ratio }) => figure(ratio, 3), right: true },
      {
        title: 'OF THE PAIRS',
        value: ({ spread }) => spread && spread.map((one) => figure(one, 3)).join(' to '),
      },
      { title: `WORSE BY > ${(tolerance * 100).toFixed(1)} %`, value: verdict },
    ],
    120,
  )
  return text
}

/** A warning where the raw loop was too slow for its figures to count, else null. */
export function unquiet(pairs: readonly Pair[]): string | null {
  const raw = median(pairs.flatMap((pair) => [pair.old.raw, pair.new.raw]))
  if (raw >= QUIET_RAW) return null
  const [was, least] = [raw, QUIET_RAW].map((one) => Math.round(one).toLocaleString('en-US'))
  return `this machine is not quiet (raw loop ${was ?? ''}/s, less than ${least ?? ''}/s): only the ratios count`
}

/** No work for as much work as before is as good; some for none is infinitely worse. */
const ratioOf = (from: number, to: number) => (from === 0 && to === 0 ? 1 : to / from)

const known = (figures: readonly (number | null)[]): figures is number[] => !figures.includes(null)
