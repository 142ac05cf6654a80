/** When nothing can be reached, or everybody answers 401, the fault is taken to be ours (contract 5.11). */
import { expect } from 'chai'
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { generateKey } from '../../src/matrix/signing.ts'
import { matrixError } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, type SentEvent, type World } from './world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const HALF_AN_HOUR = 30 * MINUTE
const DAY = 24 * HOUR
const ROOM = '!room:home.example'
const BACKOFF_MS = 10 * MINUTE
const PROBE_MS = 100

describe('trouble of our own', () => {
  let world: World
  let remotes: FakeHomeserver[]
  beforeEach(async () => {
    world = await makeWorld({
      settings: {
        federation: { backoff: { first_ms: BACKOFF_MS, max_ms: 8 * HOUR } },
        internal: { lease_ms: 50 * MINUTE, linger_ms: 50, probe_ms: PROBE_MS },
      },
    })
    remotes = await Promise.all(Array.from({ length: 5 }, () => world.remote()))
  })
  afterEach(() => world.stop())

  interface Row {
    name: string
    failures: number
    retry_at: number | null
    retry_interval: number | null
    failing_since: number | null
    open: string | null
  }
  const rows = async (of = remotes) =>
    (
      await world.pool.query<Row>(
        `select d.name, d.failures, d.retry_at, d.retry_interval, d.failing_since, o.txn_id as open
           from destinations d left join open_transactions o on o.destination = d.id where d.name = any($1) order by d.id`,
        [of.map(({ serverName }) => serverName)],
      )
    ).rows
  const AS_IF_NEVER_TRIED = { failures: 0, retry_at: null, retry_interval: null, failing_since: null }
  const waits = async (of = remotes) =>
    (await rows(of)).map(({ failures, retry_at, retry_interval, failing_since }) => ({
      ...{ failures, retry_at, retry_interval, failing_since },
    }))
  const attempts = async (of = remotes) =>
    (
      await world.pool.query<{ n: number }>(
        'select coalesce(sum(attempt_seq), 0)::int as n from destinations where name = any($1)',
        [of.map(({ serverName }) => serverName)],
      )
    ).rows[0]!.n
  const troubles = async () => {
    const { body } = await world.request('/v1/status', { token: 'read-token' })
    return (body as { own_trouble: { process: string; kind: string; since: number }[] }).own_trouble
  }
  const kinds = async () => (await troubles()).map(({ kind }) => kind)
  const metric = async (kind: string) => {
    const { body } = await world.request('/metrics')
    return new RegExp(`^limpet_own_trouble\\{kind="${kind}"\\} (\\d)$`, 'm').exec(body as string)?.[1]
  }
  const names = (of = remotes) => of.map(({ serverName }) => serverName)
  const allJoin = (of = remotes) => world.ingest([{ type: 'servers', room_id: ROOM, add: names(of) }])
  const send = async (): Promise<SentEvent> => {
    const event = world.event(ROOM)
    await world.ingest([event.item])
    return event
  }
  const allGot = ({ eventId }: SentEvent, of = remotes) =>
    until(() => of.every(({ received }) => received.has(eventId)), { what: 'the event everywhere' })
  /** Each has answered, and that is more than two minutes ago. */
  const known = async (of = remotes) => {
    await allJoin(of)
    await allGot(await send(), of)
    await world.quiet()
    await world.moveClock(3 * MINUTE)
  }
  const declared = (kind: string) =>
    until(async () => (await kinds()).includes(kind), { what: `${kind} to be declared` })
  const over = () => until(async () => (await kinds()).length === 0, { what: 'it to be over' })
  /** A probe that fails is written down, and put back a moment later. */
  const restored = () =>
    until(
      async () =>
        isDeepStrictEqual(
          await waits(),
          remotes.map(() => AS_IF_NEVER_TRIED),
        ),
      {
        what: 'all to be put back',
      },
    )

  it('ten minutes without any network: no backoff grows, one is tried, and all are served when it is back', async () => {
    await world.start()
    await known()
    await Promise.all(remotes.map((remote) => remote.stop()))
    const before = await attempts()
    const began = performance.now()
    const event = await send()
    await declared('no_answer')
    await restored()
    expect(await metric('no_answer')).to.equal('1')
    // Each of them once, and one more with every probe, of which there is one at a time: on a busy machine there is time for more.
    const probes = (since: number) => 2 + Math.ceil((performance.now() - since) / PROBE_MS)
    const tried = await attempts()
    expect(tried - before).to.be.within(5, 5 + probes(began))
    for (let minute = 0; minute < 10; minute += 1) {
      await world.moveClock(MINUTE)
      const [had, since] = [await attempts(), performance.now()]
      await until(async () => (await attempts()) > had, { what: 'a probe' })
      expect((await attempts()) - had, 'probes, not everybody').to.be.at.most(probes(since))
    }
    await restored()

    await Promise.all(remotes.map((remote) => remote.restart()))
    const back = performance.now()
    await allGot(event)
    expect(performance.now() - back, 'all served, ms').to.be.below(10_000)
    await over()
    expect(await metric('no_answer')).to.equal('0')
    await world.quiet()
    expect((await rows()).map(({ failing_since }) => failing_since)).to.deep.equal(remotes.map(() => null))
    for (const { violations } of remotes) expect(violations).to.deep.equal([])
  })

  it('that time is none in which one that failed before has failed', async () => {
    await world.start()
    const [neighbour, ...others] = remotes
    await known()
    neighbour!.behave({ kind: 'status', status: 502 })
    await send()
    await until(async () => (await rows([neighbour!]))[0]!.failing_since !== null, { what: 'it to fail' })
    await world.released()
    const [failed] = await rows([neighbour!])
    await world.moveClock(3 * MINUTE)
    await Promise.all(remotes.map((remote) => remote.stop()))
    await send()
    await declared('no_answer')
    const { since } = (await troubles())[0]!
    await world.moveClock(HALF_AN_HOUR)
    await Promise.all(others.map((remote) => remote.restart()))
    await over()
    const shifted = async () => {
      const [row] = await rows([neighbour!])
      return row!.failing_since! - failed!.failing_since!
    }
    await until(async () => (await shifted()) > 0, { what: 'the time to be taken out' })
    expect(await shifted()).to.be.within(HALF_AN_HOUR, HALF_AN_HOUR + MINUTE)
    expect(since).to.be.above(failed!.failing_since!)
    expect((await rows([neighbour!]))[0]!.failures, 'its own failure stays').to.equal(1)
  })

  it('everybody answers 401: no backoff grows, and the same bytes go again', async () => {
    await world.start()
    await known()
    for (const remote of remotes) remote.behave(matrixError(401, 'M_UNAUTHORIZED'))
    const event = await send()
    await declared('refused_401')
    await restored()
    expect(await metric('refused_401')).to.equal('1')
    // The third refusal of one is followed by an empty transaction, which is refused as well: that is put back, too.
    const isEmpty = ({ pduIds }: { pduIds: readonly string[] }) => pduIds.length === 0
    await until(() => remotes.some(({ transactions }) => transactions.some(isEmpty)), {
      what: 'an empty one',
    })
    await restored()
    const open = (await rows()).map(({ open }) => open)
    expect(open, 'what may have been received is kept').to.not.include(null)
    for (const remote of remotes) remote.behave({ kind: 'ok' })
    await allGot(event)
    await over()
    for (const remote of remotes) {
      expect(remote.violations).to.deep.equal([])
      // One that was just being asked may have answered what is empty first.
      if (!remote.transactions.some(isEmpty)) expect(open).to.include(remote.transactions.at(-1)!.txnId)
    }
  })

  it('neighbours that are dead, however many, are nobody’s fault but theirs', async () => {
    await world.start()
    const dead = await Promise.all(Array.from({ length: 25 }, () => world.remote()))
    await known([...remotes, ...dead])
    const longAgo = 'update destinations set last_success = last_success - $1 where name = any($2)'
    await world.pool.query(longAgo, [DAY, names(dead)])
    await Promise.all(dead.map((remote) => remote.stop()))
    // Nobody else has anything to get, so nothing else speaks for us.
    await world.ingest([{ type: 'servers', room_id: '!dead:home.example', add: names(dead) }])
    await world.ingest([world.event('!dead:home.example').item])
    await until(async () => (await rows(dead)).every(({ failures }) => failures === 1), {
      what: 'all to fail',
    })
    await world.released()
    expect(await kinds()).to.deep.equal([])
    expect((await rows(dead)).map(({ failures }) => failures)).to.deep.equal(dead.map(() => 1))
  })

  it('a process with a wrong key beside one that is well serves again when a reload gives it the right one', async () => {
    await world.start(['ingest', 'housekeep'])
    const first = await world.start(['deliver'])
    await known()
    await first.stop()
    const path = join(world.dir, 'other-key')
    writeFileSync(path, generateKey(randomBytes).fileText, { mode: 0o600 })
    const config = { ...world.config, signing_key_path: path }
    const wrong = await world.start(['deliver'], config)
    const event = await send()
    await declared('refused_401')
    const well = await world.start(['deliver'])
    await allGot(event)
    await allGot(await send())
    expect(await kinds()).to.deep.equal(['refused_401'])
    wrong.reload(() => config)
    expect(await kinds(), 'the same key as before').to.deep.equal(['refused_401'])
    writeFileSync(path, readFileSync(join(world.dir, 'key')), { mode: 0o600 })
    wrong.reload(() => config)
    await over()
    await well.stop()
    await allGot(await send())
  })

  it('a process that is cut off leaves its destinations to one that is not', async () => {
    const well = await world.start(['deliver'])
    await world.start(['ingest', 'housekeep'])
    await known()
    await well.stop()
    const { federation } = world.config
    // Nothing that it connects to is allowed.
    const cut = { ...world.config, federation: { ...federation, ip_allowlist: [] } }
    await world.start(['deliver'], cut)
    const first = await send()
    await declared('no_answer')
    await restored()
    await world.start(['deliver'])
    await allGot(first)
    for (let n = 0; n < 5; n += 1) await allGot(await send())
    expect(await kinds()).to.deep.equal(['no_answer'])
    await world.quiet()
    expect(await waits()).to.deep.equal(remotes.map(() => AS_IF_NEVER_TRIED))
    for (const { violations } of remotes) expect(violations).to.deep.equal([])
  })
})
