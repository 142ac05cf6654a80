/**
 * The budgets of those that are not well, in their full sizes: those that hang, refuse or flood beside the healthy, and a start with
 * thousands of destinations that are owed something, half of which are dead.
 */
import { expect } from 'chai'
import { readdirSync, readlinkSync } from 'node:fs'
import { resident } from '../bench/resident.ts'
import { loopbackAuthority, makeWorld, TOKENS } from '../e2e/world.ts'
import { measureBeside, measureHanging } from '../support/budget-stage.ts'
import { refusing, startCrowd } from '../support/crowd.ts'
import { until } from '../support/poll.ts'
import { quietPort } from '../support/port.ts'
import { AT_LENGTH, itAtLength } from './length.ts'
import { startLimpet } from './process.ts'
import { say } from './stage.ts'

/** Destinations that are owed something; half are dead. */
const OWED = AT_LENGTH ? 5_000 : 240
const RAMP_PER_SECOND = 50
/** What the ramp takes for each of them once, as repeats of the dead come after that; and beside it the start, a sweep, and requests that have to hang for two seconds first, s. */
const ALL_SERVED_S = OWED / RAMP_PER_SECOND + 60
/** It goes on for so long after that: the next few attempts to the dead. */
const GOES_ON_MS = AT_LENGTH ? 60_000 : 15_000
const MOST_MB = 450
const [CONCURRENCY, IDLE] = [512, 1_000]

describe('budgets, in full', function () {
  this.timeout(900_000)

  itAtLength('30 healthy ones of 100, of which the others hang, refuse and flood', () =>
    measureBeside({ healthy: 30, hang: 30, refuse: 30, flood: 10, places: 512, lastsMs: 30_000, noiseMs: 1 }),
  )

  itAtLength('600 that were quick hang all at once', () =>
    measureHanging({ healthy: 30, hang: 600, places: 512, lastsMs: 60_000, noiseMs: 1 }),
  )

  it(`a start with ${OWED} that are owed something, half of them dead`, async () => {
    const { ca } = await loopbackAuthority()
    const [living, hanging] = [OWED / 2, OWED / 8]
    const crowd = await startCrowd(ca, [living, hanging, hanging])
    await Promise.all([crowd.behave(1, 'hang'), crowd.behave(2, 'silent')])
    const [well, ...dead]: readonly [string[], ...string[][]] = [
      crowd.names[0] ?? [],
      ...crowd.names.slice(1),
      await refusing(OWED / 4),
    ]
    const world = await makeWorld({
      settings: {
        federation: {
          ...{ max_concurrency: CONCURRENCY, max_idle_connections: IDLE, ramp_per_second: RAMP_PER_SECOND },
          backoff: { first_ms: 5_000, max_ms: 28_800_000 },
        },
        internal: { lease_ms: 30_000, linger_ms: 2_000 },
      },
    })
    const start = async (...args: string[]) => {
      const limpet = startLimpet(['run', '--config', world.file, ...args])
      await limpet.ready()
      return limpet
    }
    const port = await quietPort()
    const ingest = await start('--role', 'ingest,housekeep', '--listen', `127.0.0.1:${port}`)
    const room = '!all:home.example'
    const items = [
      { type: 'servers', room_id: room, set: [...well, ...dead.flat()] },
      ...[1, 2, 3].map(() => world.event(room).item),
    ]
    const answer = await fetch(`http://127.0.0.1:${port}/v1/ingest`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' },
      body: JSON.stringify({ items }),
    })
    expect(answer.status).to.equal(200)
    // As an outage of ours leaves it: everybody answered quickly until then, one later than the other, and was woken for what came.
    await world.pool.query(
      `with head as (update cursors set pos = (select head from stream) where name = 'fanout')
       update destinations set quick = true, lists = true, last_success = now_ms() - 3600000 - (random() * 3600000)::bigint`,
    )
    const limpet = await start('--role', 'deliver', '--listen', 'none')
    const began = performance.now()
    const watch = watchSockets(limpet.pid())
    const served = async () => (await world.pool.query<{ n: number }>(SERVED, [well])).rows[0]?.n === living
    await until(served, { what: 'the living to be served', withinMs: 2 * ALL_SERVED_S * 1_000, everyMs: 500 })
    const seconds = (performance.now() - began) / 1_000
    await new Promise((resolve) => setTimeout(resolve, GOES_ON_MS))
    const sockets = watch.stop()
    const memory = resident(limpet.pid())
    const { mostOpen, mostUnanswered } = await crowd.counts()
    const { rows: early } = await world.pool.query<{ name: string; after: number; at_least: number }>(
      TOO_EARLY,
    )
    const { rows: tries } = await world.pool.query<{ dead: number; tries: number }>(TRIES, [dead.flat()])
    say(
      `${living} living served after ${seconds.toFixed(0)} s; peak RSS ${memory?.peak.toFixed(0) ?? '?'} MB; sockets at once ${sockets}, ` +
        `to those that listen ${mostOpen}, requests unanswered at once ${mostUnanswered}; attempts to ${tries[0]?.dead} dead: ${tries[0]?.tries}`,
    )
    expect(seconds, 'seconds until the living were served').to.be.lessThan(ALL_SERVED_S)
    if (memory !== null) expect(memory.peak, 'MB').to.be.lessThan(MOST_MB)
    expect(mostOpen, 'connections').to.be.at.most(CONCURRENCY + IDLE)
    expect(mostUnanswered, 'requests').to.be.at.most(CONCURRENCY)
    expect(early, 'tried before their time').to.deep.equal([])
    expect(tries[0]?.dead, 'dead ones that were tried').to.be.greaterThan(0)
    await Promise.all([limpet.kill(), ingest.kill()])
    await world.stop()
    await crowd.stop()
  })
})

const SERVED = `select count(*)::int as n from destinations where name = any($1) and position >= (select head from stream)`

/** A wait is 5 s, doubled with each failure, less its jitter of a fifth. */
const TOO_EARLY = `
  select d.name, t.at - t.ended as after, t.at_least from (
    select destination, at, lag(at + duration_ms) over w as ended,
           0.8 * 5000 * 2 ^ (row_number() over w - 2) as at_least
      from attempts window w as (partition by destination order by seq)) t join destinations d on d.id = t.destination
   where t.ended is not null and t.at - t.ended < t.at_least - 5 and d.failures > 0 limit 5`

const TRIES = `
  select count(distinct destination)::int as dead, count(*)::int as tries
    from attempts a join destinations d on d.id = a.destination where d.name = any($1)`

/** The most sockets that a process has had at once; Linux only, elsewhere 0. */
function watchSockets(pid: number): { stop: () => number } {
  let most = 0
  const look = () => {
    try {
      const isSocket = (fd: string) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')
        } catch {
          return false
        }
      }
      most = Math.max(most, readdirSync(`/proc/${pid}/fd`).filter(isSocket).length)
    } catch {
      // There is no /proc, or it has ended.
    }
  }
  const timer = setInterval(look, 250)
  return {
    stop: () => {
      clearInterval(timer)
      return most
    },
  }
}
