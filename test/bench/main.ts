/**
 * `npm run bench`: what limpet costs, measured against what can't be had cheaper, in one run and one table.
 * `docs/benchmarks.md` says what is in it and what is not.
 *
 * `--only` names parts (`PARTS`) and leaves the others out; `--quick` shortens windows and leaves out what takes
 * longest; `--events N` is the backlog of `memory`; `--profile FOLDER` writes CPU profiles of the daemons; `--statements` shows what each statement costs the
 * database.
 */
import { parseArgs } from 'node:util'
import { clearLeftovers } from '../support/leftovers.ts'
import { makeReport } from './report.ts'
import { makeParts, PARTS } from './parts.ts'
import { makeSetting } from './setting.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: PARTS.join(',') },
    quick: { type: 'boolean', default: false },
    profile: { type: 'string' },
    statements: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    events: { type: 'string' },
  },
})
const { quick, profile, statements, seconds = quick ? '4' : '12' } = values
const asked = values.only.split(',')
const strange = asked.find((name) => !PARTS.some((part) => part === name))
if (strange !== undefined) throw new Error(`--only ${strange}: there are ${PARTS.join(', ')}`)

const started = performance.now()
const say = (what: string) =>
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${what}\n`)

/** What goes wrong in one part leaves the others their say. */
async function attempt(name: string, part: () => Promise<void>): Promise<void> {
  try {
    await part()
  } catch (error) {
    process.stderr.write(`${String(error)}\n`)
    report.leftOut(`${name}, which failed: ${String(error).slice(0, 200)}`)
    process.exitCode = 1
  }
}

const report = makeReport()
try {
  say('building, and starting PostgreSQL and Redis')
  const setting = await makeSetting({ statements })
  if (setting.redisUrl === null) report.leftOut('everything on Redis: no redis-server')
  const parts = makeParts({
    setting,
    report,
    say,
    quick,
    events: values.events === undefined ? undefined : Number(values.events),
    windowMs: Number(seconds) * 1000,
    profile,
    statements: statements ? (text) => process.stderr.write(`${text}\n`) : null,
  })
  // The raw loop once more after what is compared with it: on a machine that others use too, one moment is not like the other.
  for (const name of ['raw', 'redis', 'postgres', 'raw', ...PARTS.slice(PARTS.indexOf('write'))] as const)
    if (asked.includes(name)) await attempt(name, parts[name])
  say('done')
  process.stdout.write(`${report.text()}\n`)
} finally {
  await clearLeftovers()
}
