/**
 * `npm run bench`: what limpet costs, measured against what can't be had cheaper, in one run and one table.
 * `docs/benchmarks.md` says what is in it and what is not.
 *
 * `--only raw,redis,postgres,write,large` leaves the others out; `--profile FOLDER` writes CPU profiles of the daemons;
 * `--statements` shows what each statement costs the database.
 */
import { parseArgs } from 'node:util'
import { clearLeftovers } from '../support/leftovers.ts'
import { startFleet } from './fleet.ts'
import { measureLargeRoom } from './large-room.ts'
import { measureRaw } from './raw.ts'
import { makeReport } from './report.ts'
import { makeSetting } from './setting.ts'
import { measureSteady } from './steady.ts'
import { measureWriteSide } from './write-side.ts'

const DESTINATIONS = 500
const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'raw,redis,postgres,write,large' },
    profile: { type: 'string' },
    statements: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '12' },
  },
})
const parts = new Set(values.only.split(','))
const windowMs = Number(values.seconds) * 1000
const { profile, statements } = values

const started = performance.now()
const show = (text: string) => process.stderr.write(`${text}\n`)
const say = (what: string) =>
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s  ${what}\n`)

try {
  say('building, and starting PostgreSQL and Redis')
  const setting = await makeSetting({ statements })
  const report = makeReport()
  if (setting.redisUrl === null) report.leftOut('everything on Redis: no redis-server')
  const queues = [
    ...(setting.redisUrl === null ? [] : [{ name: 'redis', url: setting.redisUrl }]),
    { name: 'postgres', url: 'postgres' },
  ]

  const fleet = await startFleet(setting, ['127.0.0.1'], DESTINATIONS)
  const raw = async () => {
    if (!parts.has('raw')) return
    say('the raw loop')
    report.raw(await measureRaw(setting, fleet, windowMs))
  }
  await raw()
  for (const { name, url: queue } of queues.filter(({ name }) => parts.has(name))) {
    say(`steady traffic to ${DESTINATIONS} destinations, queue on ${name}`)
    const options = {
      queue,
      database: `steady_${name}`,
      windowMs,
      profile,
      statements: statements ? show : null,
    }
    report.steady(name, await measureSteady(setting, fleet, options))
  }
  // Once more at the end: on a machine that others use too, one moment is not like the other.
  await raw()
  await fleet.stop()

  if (parts.has('write')) {
    for (const { name, url: queue } of queues) {
      say(`the write side, queue on ${name}`)
      report.writeSide(name, await measureWriteSide(setting, { queue, database: `write_${name}`, profile }))
    }
  }
  if (parts.has('large')) {
    const { name, url: queue } = queues[0] ?? { name: 'postgres', url: 'postgres' }
    say(`a room of 5,000 servers, queue on ${name}`)
    const large = await measureLargeRoom(setting, { queue, database: `large_${name}`, profile })
    if (large === null)
      report.leftOut('5,000 receivers: this machine does not let us listen on 127.0.0.2 and on')
    else report.largeRoom(name, large)
  }
  say('done')
  process.stdout.write(`${report.text()}\n`)
} finally {
  await clearLeftovers()
}
