/** The rows of `cases.ts` as the page `docs/scenarios.md`, for people. */
import { format } from 'prettier'
import { SCENARIOS, SPECIFICATION } from './cases.ts'
import type { Row } from './row.ts'

const HEAD = `# What a sender meets, and the tests that show it

What must be seen of limpet, one row a case, and the tests of this repository that show it: first 48 scenarios, then what the
specification asks of a sender. \`test/scenarios/cases.test.ts\` looks whether each test is there under that title, whether a number in a
row is one of these tests or of the code, and whether no row is left out. Titles are as they are written: \`\${…}\` stands for what a test
runs through.

- **Not yet**: no test shows it, because limpet does not do it yet. **Not planned**: it will not. The numbers behind are sections of
  [the contract](contract.md).
- Row by row elsewhere: [what becomes of each answer](answers.md), [where each server name leads](discovery-cases.md).

This page is written by \`npx tsx test/scenarios/write-page.ts\`.
`

const COLUMNS = ['', 'Given', 'Seen', 'Shown by']

/** As `prettier` leaves it. */
export function scenariosPage(): Promise<string> {
  const parts = { Scenarios: SCENARIOS, 'The specification': SPECIFICATION }
  const tables = Object.entries(parts).flatMap(([part, groups]) => [
    `## ${part}`,
    '',
    ...Object.entries(groups).flatMap(([what, rows]) => [
      `### ${what}`,
      '',
      `| ${COLUMNS.join(' | ')} |`,
      `|${' --- |'.repeat(COLUMNS.length)}`,
      ...rows.map((row) => `| ${cellsOf(row).join(' | ')} |`),
      '',
    ]),
  ])
  return format([HEAD, ...tables].join('\n'), { parser: 'markdown', printWidth: 110 })
}

function cellsOf({ id, given, seen, by, missing }: Row): string[] {
  const files = [...new Set(by.map(({ file }) => file))]
  const shown = files.map((file) => {
    const titles = by.filter((one) => one.file === file).map(({ title }) => code(title))
    return `[${file.slice('test/'.length, -'.test.ts'.length)}](../${file}): ${titles.join(', ')}`
  })
  const not = missing && `_${missing.when}_: ${missing.why} (${missing.contract})`
  return [id, given, seen, [...shown, ...(not === undefined ? [] : [not])].join('; ')].map((cell) =>
    cell.replaceAll('|', '\\|'),
  )
}

/** With a fence that is longer than what is in it. */
const code = (text: string) => (text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``)
