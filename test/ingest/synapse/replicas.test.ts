/** Several servers where Synapse's database should be one: refused where they are noticed, and nothing is lost until then. */
import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import type { Config } from '../../../src/config/config.ts'
import { makeAppend } from '../../../src/ingest/append.ts'
import { SynapseRefused } from '../../../src/ingest/synapse/refused.ts'
import { makeMetrics } from '../../../src/observe/metrics.ts'
import { startSynapseSource } from '../../../src/daemon/start-synapse-source.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { sourcePosition } from '../../../src/store/ingest/read-back.ts'
import { install, limpet as limpetHere, startLimpet } from '../../cli/cli-stage.ts'
import { startBalancer, type Balancer } from '../../support/balancer.ts'
import { until } from '../../support/poll.ts'
import { quietPort } from '../../support/port.ts'
import { freshDatabase, ownServer, type OwnServer } from '../../support/postgres.ts'
import { limpetFor, type Limpet } from './limpet.ts'
import { ROOM, synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'
const OTHER = '!other:a.example'
const REFUSED = /^limpet: sources\.synapse: several servers answer at the address of Synapse's database/

describe('replicas of a Synapse’s database', () => {
  let primary: OwnServer
  let standby: OwnServer
  let synapse: SynapseTables
  let theirs: { primary: Pool; standby: Pool }
  let balancer: Balancer | null
  let stopping: (() => Promise<unknown>)[]
  let next = 1

  before(async function () {
    this.timeout(120_000)
    standby = await ownServer({ migrated: false, settings: { fsync: 'off' } })
    await standby.stop()
    const copy = standby.clone()
    const port = await quietPort()
    standby.follow(port)
    primary = await copy.start(port)
    await standby.start()
    synapse = await synapseTables({ at: primary.url, version: '11' })
    await synapse.pool.query(`insert into rooms (room_id, room_version) values ($1, '11')`, [OTHER])
    await member(alice)
    await member(bob)
    await member(alice, OTHER)
    await member('@carol:c.example', OTHER)
    theirs = {
      primary: openPool({ url: primary.url, statementMs: 300 }),
      standby: openPool({ url: standby.url, onlyReads: true }),
    }
    await caughtUp()
  })
  after(async () => {
    await theirs.primary.end()
    await theirs.standby.end()
    await synapse.close()
    await standby.remove()
    await primary.remove()
  })
  beforeEach(async () => {
    ;[stopping, balancer] = [[], null]
    await caughtUp()
  })
  afterEach(async () => {
    for (const stop of stopping) await stop()
    balancer?.close()
    await synapse.slow('current_state_events', [], 0)
    await theirs.standby.query('select pg_wal_replay_resume()')
  })

  /** The number that it is given. */
  const written = async (event: Omit<Parameters<SynapseTables['write']>[0], 'at'>) => {
    const at = next++
    await synapse.write({ at, ...event })
    await synapse.finishedUpTo(at)
    return at
  }
  const member = (user: string, room = ROOM) =>
    written({ sender: user, room, member: { user, membership: 'join' } })
  const says = (room = ROOM) => written({ sender: alice, room })
  const caughtUp = async () => {
    const { rows } = await synapse.pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn')
    const hasIt = 'select $1::pg_lsn <= pg_last_wal_replay_lsn() as has'
    await until(
      async () => (await theirs.standby.query<{ has: boolean }>(hasIt, [rows[0]?.lsn])).rows[0]?.has,
      {
        what: 'the standby to have all',
      },
    )
  }
  /** From now on the standby stays where it is. */
  const lags = async () => {
    await theirs.standby.query('select pg_wal_replay_pause()')
    const state = 'select pg_get_wal_replay_pause_state() as state'
    const isPaused = async () =>
      (await theirs.standby.query<{ state: string }>(state)).rows[0]?.state === 'paused'
    await until(isPaused, { what: 'the standby to stay where it is' })
  }
  const at = (port: number) => {
    const url = new URL(primary.url)
    url.port = String(port)
    return url.href
  }
  const ports = () => [portOf(primary.url), portOf(standby.url)] as const
  const inTurn = async () => (balancer = await startBalancer((count) => ports()[count % 2] ?? 0))
  const limpetAt = (pool: Pool) => limpetFor(pool, { nameOf: (id) => synapse.nameOf(id) })
  const sentTo = (limpet: Limpet) => limpet.lines.filter((line) => line.startsWith('event'))
  const follow = (limpet: Limpet, options?: Parameters<Limpet['follow']>[0]) => {
    const following = limpet.follow(options)
    stopping.push(() => following.stop())
    return following
  }

  it('are refused in one line by `check-config` and by `run`, exit 2, behind a balancer', async () => {
    const { port } = await inTurn()
    const one = install({
      database: (await freshDatabase()).url,
      sources: { synapse: { database: at(port) } },
    })
    stopping.push(async () => Promise.resolve().then(() => one.remove()))
    const checked = await limpetHere(['check-config'], { cwd: one.dir })
    expect(checked.out).to.match(/^source's database: wrong$/m)
    const run = startLimpet(['run'], { cwd: one.dir })
    for (const { status, err } of [checked, { status: await run.ended, err: run.err }]) {
      expect(err.trimEnd()).to.match(REFUSED).and.not.to.contain('\n')
      expect(status).to.equal(2)
    }
  })

  it('of which the second comes later are refused when the first one is met again, and nothing is lost', async () => {
    const [ours, other] = ports()
    let to = ours
    balancer = await startBalancer(() => to)
    const database = await freshDatabase()
    const pool = openPool({ url: database.url })
    const failed: unknown[] = []
    const append = makeAppend({
      ...{ pool, serverName: 'a.example', maxStickyMs: 3_600_000, random: Math.random },
      onTaken: () => undefined,
    })
    const source = startSynapseSource({
      config: { server_name: 'a.example', sticky: { field_names: ['msc4354_sticky'] } } as unknown as Config,
      settings: { database: at(balancer.port), redis: null, instance_name: 'limpet' },
      ...{ pool, append, metrics: makeMetrics({ runtime: false }), clock: systemClock },
      log: pino({ level: 'silent' }),
      fail: (error) => failed.push(error),
    })
    stopping.push(
      () => source.stop(),
      () => pool.end(),
    )
    const taken = async () => (await sourcePosition(pool, 'synapse')).sourceToken === `events=${next - 1}`
    await until(taken, { what: 'the first start' })
    for (to of [other, ours]) {
      await says()
      await caughtUp()
      balancer.breakAll()
      await until(async () => failed.length > 0 || (await taken()), { what: 'it to read on' })
    }
    await until(() => failed.length > 0, { what: 'it to be refused' })
    expect(failed[0]).to.be.instanceOf(SynapseRefused)
    expect(String(failed[0])).to.match(/several servers answer/)
  })

  it('of which one tells the end and another one, behind it, has the events: none of it is taken', async () => {
    let rows = theirs.primary
    const limpet = limpetAt(
      byStatement(
        () => theirs.primary,
        () => rows,
      ),
    )
    follow(limpet)
    await limpet.reaches(next - 1)
    await lags()
    rows = theirs.standby
    const here = limpet.token()
    await says()
    await says()
    await until(() => limpet.logged.join().includes('could not be read'), {
      what: 'a look to fail',
    })
    expect([limpet.token(), sentTo(limpet)]).to.deep.equal([here, []])
    rows = theirs.primary
    await limpet.reaches(next - 1)
    expect(sentTo(limpet)).to.have.length(2)
  })

  it('of which one has the events and another one, behind it, the servers: none of it is taken', async () => {
    let connections = 1
    let rooms = theirs.primary
    const all = () => theirs.primary
    const limpet = limpetAt(byStatement(all, all, () => rooms))
    follow(limpet, { connections: () => connections })
    await limpet.reaches(next - 1)
    await lags()
    const here = limpet.token()
    // From now on each of these is another connection: the one before broke.
    rooms = {
      query: (text: string, values: unknown[]) => {
        connections += 1
        return theirs.standby.query(text, values)
      },
    } as unknown as Pool
    await member('@dave:d.example')
    await says()
    await until(() => limpet.logged.join().includes('could not be read'), {
      what: 'a look to fail',
    })
    expect([limpet.token(), limpet.lines]).to.deep.equal([here, []])
    rooms = theirs.primary
    await limpet.reaches(next - 1)
    expect(limpet.lines).to.deep.equal(['set b.example', '+d.example', `event $${next - 1}`])
  })

  it('of which one tells the end and a room that waits is read from another: it goes on waiting', async () => {
    let patient = theirs.standby
    const limpet = limpetAt(theirs.primary)
    const slowly = {
      query: (...asked: Parameters<Pool['query']>) => patient.query(...asked),
    } as unknown as Pool
    follow(limpet, { patient: slowly })
    await limpet.reaches(next - 1)
    await lags()
    await synapse.slow('current_state_events', [OTHER], 60_000)
    const said = await says(OTHER)
    await until(() => limpet.logged.join().includes('a room cannot be read in time'), {
      what: 'the room to be left behind',
    })
    await limpet.reaches(said)
    await until(() => limpet.logged.filter((line) => line.includes('still waits')).length > 1, {
      what: 'it to be tried again',
    })
    expect(sentTo(limpet)).to.deep.equal([])
    await synapse.slow('current_state_events', [], 0)
    patient = theirs.primary
    await until(() => sentTo(limpet).includes(`event $${said}`), { what: 'the event that waited' })
  })
})

const portOf = (url: string): number => Number(new URL(url).port)

/** Statements go to one server or another, by what they ask: the end of the stream, its events, or anything else. */
function byStatement(end: () => Pool, events: () => Pool, other: () => Pool = events): Pool {
  const choose = (text: string) =>
    text.includes('as noted') ? end() : text.includes("'event' as kind") ? events() : other()
  return { query: (text: string, values: unknown[]) => choose(text).query(text, values) } as unknown as Pool
}
