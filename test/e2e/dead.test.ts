/** A server that has failed for a month, and many that are due at once: what an operator sees, and when they are tried. */
import { expect } from 'chai'
import { matrixError, ok } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { runCommand } from '../cli/admin/run-command.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, TOKENS, type World } from './world.ts'

const ROOM = '!room:home.example'
const HOUR = 3_600_000
const DAY = 24 * HOUR
const WEEK = 7 * DAY

describe('a server that has failed for a month', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    world = await makeWorld({
      settings: {
        ...PATIENT,
        federation: { backoff: { first_ms: HOUR, max_ms: HOUR, jitter: 0 }, dead_after_ms: 30 * DAY },
      },
    })
    remote = await world.remote()
    await world.start(['ingest', 'housekeep'])
    await world.start(['deliver'])
  })
  afterEach(() => world.stop())

  const row = async <T>(what: string) =>
    (
      await world.pool.query<{ it: T }>(`select ${what} as it from destinations where name = $1`, [
        remote.serverName,
      ])
    ).rows[0]?.it
  const failedTimes = (n: number) =>
    until(async () => (await row(`failures = ${n} and lease_owner is null`)) === true, {
      what: `failure ${n}`,
    })
  const seen = async () =>
    (await world.request(`/v1/destinations/${remote.serverName}`, { token: TOKENS.read })).body as {
      state: string
      reason: string
      next_attempt: number | null
    }
  const limpet = async (...args: string[]) =>
    (await runCommand(world.dir, [...args, '--url', world.address, '--token', TOKENS.admin])).out

  it('is dead: tried once a week, and told apart, until `server_up` or an operator has it answer', async () => {
    remote.behave({ kind: 'cut off' })
    const event = world.event(ROOM)
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }, event.item])
    await failedTimes(1)
    expect((await seen()).state).to.equal('backing_off')
    // Its hour is over as well: it is tried, and the wait after that is a dead one's.
    // What was unanswered for 24 hours goes under a new id.
    remote.forgive()
    await world.moveClock(31 * DAY)
    await failedTimes(2)
    expect(await row('retry_interval')).to.equal(WEEK)
    expect(Number(await row('retry_at - now_ms()'))).to.be.within(6.9 * DAY, WEEK)
    const view = await seen()
    expect(view.state).to.equal('dead')
    expect(view.reason).to.match(/week/)
    expect(view.next_attempt).to.equal(await row('retry_at'))
    expect(await limpet('destinations', '--state', 'dead')).to.include(remote.serverName)
    expect(await limpet('destinations', '--state', 'backing_off')).not.to.include(remote.serverName)
    expect(await limpet('status')).to.match(/^destinations +1: 1 dead$/m)

    // A wake tries it, and it stays dead if that fails.
    const requests = remote.requests
    await limpet('wake', remote.serverName)
    await remote.seen(requests + 1)
    await world.released()
    expect([(await seen()).state, await row('failures')]).to.deep.equal(['dead', 2])
    remote.behave(ok)
    await world.ingest([{ type: 'server_up', server: remote.serverName }])
    await until(() => remote.received.has(event.eventId), { what: 'what it was owed' })
    await until(async () => ['idle', 'sending'].includes((await seen()).state), { what: 'it to be well' })
    expect(await row('failures')).to.equal(0)
    expect(remote.violations).to.deep.equal([])
  })
})

describe('many servers that are due at once', () => {
  let world: World
  beforeEach(async () => {
    const backoff = { first_ms: HOUR, max_ms: HOUR, jitter: 0 }
    world = await makeWorld({ settings: { ...PATIENT, federation: { backoff, ramp_per_second: 1 } } })
  })
  afterEach(() => world.stop())

  it('are tried `ramp_per_second` by each process, after a start', async () => {
    await world.start(['ingest', 'housekeep'])
    const first = await world.start(['deliver'])
    const remotes = await Promise.all(Array.from({ length: 8 }, () => world.remote()))
    for (const remote of remotes) remote.behave(matrixError(500, 'M_UNKNOWN'))
    const event = world.event(ROOM)
    const add = remotes.map(({ serverName }) => serverName)
    await world.ingest([{ type: 'servers', room_id: ROOM, add }, event.item])
    const count = async (condition: string) =>
      (await world.pool.query(`select from destinations where ${condition}`)).rowCount
    await until(async () => (await count('failures = 1 and lease_owner is null')) === 8, {
      what: 'all to fail',
    })
    await first.stop()
    for (const remote of remotes) remote.behave(ok)
    await world.moveClock(2 * HOUR)
    await world.start(['deliver'])
    const at = (n: number) =>
      until(
        () =>
          remotes.filter(({ received }) => received.has(event.eventId)).length >= n ? performance.now() : 0,
        {
          ...{ what: `${n} of them`, everyMs: 5 },
        },
      )
    const [one, all] = [await at(1), await at(8)]
    // The last is let through seven seconds after the first at the earliest.
    expect(all - one).to.be.above(5_000)
    for (const { transactions } of remotes)
      expect(transactions.map(({ requestsAt }) => requestsAt.length)).to.deep.equal([2])
  })
})
