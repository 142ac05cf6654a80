/**
 * `npm run bench:compare OLD NEW`: is NEW slower than OLD? Both are folders of checkouts or what git knows. Their raw loops and
 * steady traffic are measured in turn, in pairs next to each other; one table; `docs/benchmarks.md` says what is in it.
 *
 * Exit status: 0, 1 where NEW is worse beyond the tolerance, 2 where nothing could be compared.
 */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { clearLeftovers } from '../support/leftovers.ts'
import { openCheckout } from './compare-checkout.ts'
import { measureCheckout } from './compare-run.ts'
import { comparison, isWorse, judge, unquiet, type Pair } from './compare-verdict.ts'
import { startFleet } from './fleet.ts'
import { HOSTS, makeSetting } from './setting.ts'

const USAGE =
  'npm run bench:compare -- OLD NEW [--pairs 5] [--seconds 12] [--tolerance 3] [--destinations 500]'
/** Rooms of so many destinations hold them all equally often. */
const A_ROOM = 50

const started = performance.now()
const say = (what: string) =>
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${what}\n`)

interface Asked {
  old: string
  new: string
  pairs: number
  windowMs: number
  tolerance: number
  destinations: number
}

function readArguments(): Asked {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      pairs: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '12' },
      tolerance: { type: 'string', default: '3' },
      destinations: { type: 'string', default: '500' },
    },
  })
  const [pairs, seconds, percent] = [values.pairs, values.seconds, values.tolerance].map(Number)
  const [from, to] = positionals
  if (from === undefined || to === undefined || positionals.length > 2) throw new Error(`usage: ${USAGE}`)
  if (!(Number.isInteger(pairs) && pairs! >= 1)) throw new Error('--pairs: a whole number from 1')
  if (!(seconds! > 0 && seconds! <= 3_600)) throw new Error('--seconds: a number above 0, at most 3600')
  if (!(percent! >= 0 && percent! < 100)) throw new Error('--tolerance: percent, from 0 to below 100')
  const destinations = Number(values.destinations)
  if (!(Number.isInteger(destinations / A_ROOM) && destinations >= A_ROOM && destinations <= 5_000))
    throw new Error(`--destinations: a multiple of ${A_ROOM}, at most 5000`)
  return {
    old: from,
    new: to,
    pairs: pairs!,
    windowMs: seconds! * 1000,
    tolerance: percent! / 100,
    destinations,
  }
}

async function compare(asked: Asked): Promise<boolean> {
  say('checking out and building, and starting PostgreSQL and Redis')
  const old = await openCheckout(asked.old)
  const young = await openCheckout(asked.new)
  // A checkpoint would have whole pages in the log of whom it meets; autovacuum comes when it comes.
  const setting = await makeSetting({
    statements: false,
    postgres: { checkpoint_timeout: '1d', max_wal_size: '16GB', autovacuum: 'off' },
  })
  const fleet = await startFleet(setting, HOSTS.slice(0, 1), asked.destinations)
  const measure = async (which: 'old' | 'new', pair: number) => {
    say(`pair ${pair + 1} of ${asked.pairs}: ${which}`)
    const { built } = which === 'old' ? old : young
    return measureCheckout(setting, fleet, {
      built,
      database: `compare_${which}_${pair + 1}`,
      windowMs: asked.windowMs,
    })
  }
  const pairs: Pair[] = []
  for (let pair = 0; pair < asked.pairs; pair += 1) {
    // Who is second finds the machine as the first has left it: in turn.
    const first = pair % 2 === 0 ? 'old' : 'new'
    const one = await measure(first, pair)
    const other = await measure(first === 'old' ? 'new' : 'old', pair)
    pairs.push(first === 'old' ? { old: one, new: other } : { old: other, new: one })
  }
  say('done')
  const rows = judge(pairs, asked.tolerance)
  const cores = cpus()
  const queue = setting.redisUrl === null ? 'postgres (no redis-server)' : 'redis'
  const lines = [
    `OLD ${old.label}, NEW ${young.label}: medians of ${asked.pairs} pairs, windows of ${asked.windowMs / 1000} s, ${asked.destinations} destinations, queue on ${queue}`,
    `Node ${process.versions.node}, ${cores.length} cores (${cores[0]?.model ?? 'unknown'})`,
    '',
    comparison(rows, asked.tolerance),
  ]
  const warning = unquiet(pairs)
  if (warning !== null) lines.push('', `warning: ${warning}`)
  process.stdout.write(`${lines.join('\n')}\n`)
  return isWorse(rows)
}

try {
  process.exitCode = (await compare(readArguments())) ? 1 : 0
} catch (error) {
  process.stderr.write(`bench:compare: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 2
} finally {
  await clearLeftovers()
}
