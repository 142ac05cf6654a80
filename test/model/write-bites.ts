/**
 * Writes `docs/planted-bugs.md`: for each planted bug the shrunk schedule that catches it, and what happens in it. `--missing` leaves what is there of a bug as it
 * is, and writes only those that are not there yet.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { findFailure, tellStory } from './check.ts'
import { memoryDatabase } from './database.ts'
import { BITES_SEED, BUGS, WITHIN, type Bug } from './planted.ts'
import { inWords } from './words.ts'

const HEAD = `# Planted bugs, and the schedules that catch them

The model test is only worth something if it fails where limpet breaks a promise. So these bugs are planted, one at a
time, by putting something else in the place of one statement of the database in memory (\`test/model/planted.ts\`); each
must be caught (\`test/model/bites.test.ts\`). Below is what it finds, shrunk, and what happens then, line by line: the
steps of each process, and indented what comes of them. \`3t 4s\` are positions with their lanes (timeline, catch-up,
sticky replay); A and B are two processes that deliver. How the test works: [model-test.md](model-test.md).

This page is written by \`npx tsx test/model/write-bites.ts\`; transaction ids differ from run to run.
`

async function sectionOf({ bug, how, plant, options, drawn, seed = BITES_SEED }: Bug): Promise<string> {
  const fresh = () => Promise.resolve(memoryDatabase(plant()))
  const failed = await findFailure(fresh, { runs: WITHIN, seed, options, ...(drawn && { drawn }) })
  console.log(`${bug}: ${failed === null ? 'not found' : `schedule ${failed.runs}`}`)
  if (failed === null)
    return `## ${capital(bug)}\n\n${capital(how)}.\n\nNot caught within ${WITHIN} schedules.\n`
  const story = await tellStory(fresh, failed.schedule, options)
  return [
    `## ${capital(bug)}\n`,
    `Planted: ${how}. Caught by schedule ${failed.runs} of seed ${seed}; shrunk:\n`,
    `\`\`\`text\n${inWords(failed.schedule)}\n\nviolated: ${failed.why}\n\`\`\`\n`,
    `<details><summary>What happens</summary>\n`,
    `\`\`\`text\n${shortened(story.replaceAll(/\n {4,}at .*/g, ''))}\n\`\`\`\n`,
    `</details>\n`,
  ].join('\n')
}

/** A story without end is told by its beginning and its end. */
function shortened(story: string): string {
  const lines = story.split('\n')
  if (lines.length <= 120) return story
  return [...lines.slice(0, 40), `      … ${lines.length - 50} lines`, ...lines.slice(-10)].join('\n')
}

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { missing: { type: 'boolean', default: false } },
})
const page = positionals[0] ?? 'docs/planted-bugs.md'
const there = new Map<string, string>()
if (values.missing && existsSync(page))
  for (const section of readFileSync(page, 'utf8')
    .split(/^(?=## )/m)
    .slice(1))
    there.set(section.slice(3, section.indexOf('\n')), `${section.trimEnd()}\n`)

const sections: string[] = []
for (const bug of BUGS) {
  sections.push(there.get(capital(bug.bug)) ?? (await sectionOf(bug)))
  writeFileSync(page, [HEAD, ...sections].join('\n'))
}
