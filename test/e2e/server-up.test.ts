/** Advice that a server is up costs it no more than one attempt a minute, doubling to an hour, however often it comes (contract 5.8). */
import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const SECOND = 1_000
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const ROOM = '!room:home.example'

describe('server_up, a hundred times a second, for a server that can not be reached', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    const backoff = { first_ms: 300 * HOUR, max_ms: 300 * HOUR }
    const internal = { ...PATIENT.internal, lease_ms: 3 * HOUR }
    world = await makeWorld({
      settings: { ...PATIENT, federation: { backoff }, internal, sweep_interval_ms: 60_000 },
    })
    await world.start()
    remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
    await remote.stop()
  })
  afterEach(() => world.stop())

  interface Row {
    attempts: number
    failures: number
    due: number
    retry_at: number
  }
  const row = async () =>
    (
      await world.pool.query<Row>(
        'select attempt_seq as attempts, failures, look_at - now_ms() as due, retry_at from destinations where name = $1',
        [remote.serverName],
      )
    ).rows[0]!
  const advise = () =>
    world.ingest(Array.from({ length: 100 }, () => ({ type: 'server_up', server: remote.serverName })))
  const tried = async (attempts: number) => {
    await until(async () => (await row()).attempts >= attempts, { what: `attempt ${attempts}` })
    await world.released()
    expect((await row()).attempts).to.equal(attempts)
  }

  it('is tried within five seconds, then a minute later, and so on up to an hour', async () => {
    await world.ingest([world.event(ROOM).item])
    await tried(1)
    const { retry_at } = await row()
    const waits: number[] = []
    for (let attempts = 2; attempts <= 9; attempts += 1) {
      for (let second = 0; second < 3; second += 1) await advise()
      const { due } = await row()
      waits.push(due)
      // However often it comes until then, that is when it is tried.
      for (const part of [0.3, 0.3, 0.3]) {
        await world.moveClock(Math.floor(due * part))
        await advise()
        expect((await row()).attempts).to.equal(attempts - 1)
      }
      await world.moveClock(Math.ceil(due * 0.1) + SECOND)
      await tried(attempts)
    }
    const [first = Infinity, ...rest] = waits
    expect(first).to.be.below(5 * SECOND)
    const minutes = [1, 2, 4, 8, 16, 32, 60]
    for (const [index, wait] of rest.entries())
      expect(wait, `wait ${index + 2}`).to.be.within(
        (minutes[index] ?? 0) * MINUTE - 20 * SECOND,
        (minutes[index] ?? 0) * MINUTE + 5 * SECOND,
      )
    const last = await row()
    expect(last, 'the schedule stays').to.include({ failures: 1, retry_at })
  })
})
