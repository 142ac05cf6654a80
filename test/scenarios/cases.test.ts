import { expect } from 'chai'
import { readFileSync } from 'node:fs'
import { DEAD_INTERVAL_MS } from '../../src/deliver/rules/backoff.ts'
import { HOUR_MS, LONGEST_ERROR_MS, ORDINARY_LIFE_MS } from '../../src/discovery/lifetime.ts'
import { LONGEST_LIFE_MS } from '../../src/pace/shared-answers.ts'
import { LONGEST_WAIT_MS } from '../../src/wire/retry-after.ts'
import { MAX_EDUS, MAX_PDUS } from '../../src/matrix/transaction.ts'
import { settingsSchema } from '../../src/config/schema.ts'
import { ADVICE_WINDOW_MS } from '../../src/store/ingest/advice.ts'
import { ANSWERS } from '../answers/cases.ts'
import { CASES } from '../discovery/cases.ts'
import { SCENARIOS, SPECIFICATION } from './cases.ts'
import { scenariosPage } from './page.ts'
import type { Missing, Row } from './row.ts'
import { testsOf } from './titles.ts'

const SECOND_MS = 1_000
const DAY_MS = 24 * HOUR_MS
const { federation, sticky } = settingsSchema.parse({ server_name: 'home.example' })
const { backoff } = federation

/** What a row must say because the code says so. */
const FIGURES: Readonly<Record<string, readonly string[]>> = {
  2: [`at most ${MAX_PDUS} a transaction`],
  3: [`more than ${MAX_EDUS} EDUs wait`, `no transaction has more than ${MAX_EDUS} EDUs`],
  12: [
    `waits of ${backoff.first_ms / SECOND_MS} s`,
    `${(2 * backoff.first_ms) / SECOND_MS} s`,
    `up to ${backoff.max_ms / HOUR_MS} h`,
  ],
  13: [`once ${DEAD_INTERVAL_MS === 7 * DAY_MS ? 'a week' : DEAD_INTERVAL_MS}`],
  17: [`not tried before ${LONGEST_WAIT_MS / HOUR_MS} hours`],
  19: [`within ${ADVICE_WINDOW_MS / SECOND_MS} s`],
  20: [`more than ${federation.dead_after_ms / DAY_MS} days`],
  27: [`${federation.ramp_per_second} a second`],
  36: [`${MAX_PDUS}, ${MAX_PDUS} and ${113 - 2 * MAX_PDUS}`],
  T3: [`at most ${MAX_PDUS} in one`],
  T4: [`at most ${MAX_EDUS} in one`],
  K1: sticky.field_names.map((name) => name),
  K2: [`the cap of ${sticky.max_duration_ms / HOUR_MS} h`],
  K4: [`of ${MAX_PDUS} places`],
  D8: [
    `${ORDINARY_LIFE_MS / HOUR_MS} h unless`,
    `${LONGEST_LIFE_MS / HOUR_MS} h at most`,
    `a failure ${LONGEST_ERROR_MS / HOUR_MS} h at most`,
  ],
}

/** Tables that tests are run by: their numbers are the tests'. */
const tableBehind = (file: string, id: string): unknown =>
  file === 'test/answers/cases.test.ts'
    ? ANSWERS
    : file === 'test/discovery/cases.test.ts'
      ? CASES.filter(({ row }) => row === id || !id.startsWith('D'))
      : null

const scenarios = Object.values(SCENARIOS).flat()
const duties = Object.values(SPECIFICATION).flat()
const all: readonly Row[] = [...scenarios, ...duties]
const upTo = (n: number, before = '') => Array.from({ length: n }, (_, i) => `${before}${i + 1}`)

describe('docs/scenarios.md', () => {
  const files = new Map<string, Map<string, string>>()
  const testIn = (file: string, title: string): string | undefined => {
    const tests = files.get(file) ?? testsOf(file)
    files.set(file, tests)
    return tests.get(title)
  }

  it('says what is in cases.ts: npx tsx test/scenarios/write-page.ts', async () => {
    const page = readFileSync(new URL('../../docs/scenarios.md', import.meta.url), 'utf8')
    expect(page).to.equal(await scenariosPage())
  })

  it('has each scenario and each duty of the specification, once', () => {
    expect(scenarios.map(({ id }) => id)).to.deep.equal(upTo(48))
    expect(duties.map(({ id }) => id)).to.have.members([
      ...[...upTo(10, 'T'), ...upTo(9, 'A'), ...upTo(6, 'P-'), ...upTo(7, 'E'), ...upTo(5, 'L')],
      ...[...new Set(CASES.map(({ row }) => row)), ...upTo(14, 'K')],
    ])
  })

  it('names, for each scenario that a test shows, code that looks for it', () => {
    const without = scenarios.filter(({ by, asserts }) => by.length > 0 && asserts === undefined)
    expect(without.map(({ id }) => id)).to.deep.equal([])
  })

  it('has figures of rows that are there', () => {
    expect(all.map(({ id }) => id)).to.include.members(Object.keys(FIGURES))
  })

  for (const row of all)
    describe(`${row.id}: ${row.given}`, () => {
      it('is shown by a test, or says why not', () => {
        expect(row.by.length > 0 || row.missing !== undefined).to.equal(true)
        for (const { file, title } of row.by)
          expect(testIn(file, title), `${file}: ${title}`).to.be.a('string')
        const named = row.by.map(({ file, title }) => `${file}: ${title}`)
        expect(new Set(named).size, 'each named once').to.equal(named.length)
        if (row.missing !== undefined) expect(sectionOf(row.missing)).to.include(row.missing.says)
      })

      it('is what these tests look for', () => {
        const code = row.by.map(({ file, title }) => testIn(file, title) ?? '').map(withoutSpace)
        for (const assertion of row.asserts ?? [])
          expect(
            code.some((one) => one.includes(withoutSpace(assertion))),
            assertion,
          ).to.equal(true)
      })

      it('says the numbers of its tests and of the code', () => {
        const said = `${row.given}; ${row.seen}`
        const figures = FIGURES[row.id] ?? []
        for (const figure of figures) expect(said).to.include(figure)
        const sources = row.by.flatMap(({ file, title }) => [
          ...[title, testIn(file, title) ?? '', JSON.stringify(tableBehind(file, row.id))],
        ])
        expect(numbersIn([...figures, ...sources].join(' '))).to.include.members(
          numbersIn(withoutNames(said)),
        )
      })
    })
})

const withoutSpace = (text: string): string => text.replaceAll(/\s+/g, '')

/** `10,000` and `10_000` are one number. */
const numbersIn = (text: string): string[] =>
  (text.match(/\d+(?:[,_]\d{3})*/g) ?? []).map((number) => number.replaceAll(/[,_]/g, ''))

/** Without code, names of algorithms and character sets. */
const withoutNames = (text: string): string =>
  text.replaceAll(/`[^`]*`|\bed25519\b|\bUTF-8\b|\bX-Matrix\b/g, '')

const contract = readFileSync(new URL('../../docs/contract.md', import.meta.url), 'utf8')
function sectionOf({ contract: where }: Missing): string {
  const [section = '', point] = where.split('.')
  const text = contract.split(/^## /m).find((one) => one.startsWith(`${section}. `)) ?? ''
  if (point === undefined) return text
  return text.split(/^(?=\d+\. )/m).find((one) => one.startsWith(`${point}. `)) ?? ''
}
