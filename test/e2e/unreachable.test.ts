import { expect } from 'chai'
import { errorPage } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, type World } from './world.ts'

const ROOM = '!room:home.example'
const MINUTE = 60_000

interface Unreachable {
  servers: { server: string; failing_since: number; next_attempt: number }[]
  up: string[]
  token: string
}

describe('a homeserver that asks which servers cannot be reached', () => {
  let world: World
  let remotes: FakeHomeserver[]
  beforeEach(async () => {
    const federation = { backoff: { first_ms: 10 * MINUTE, max_ms: 10 * MINUTE } }
    world = await makeWorld({ settings: { federation } })
    await world.start()
    remotes = [await world.remote(), await world.remote(), await world.remote()]
    const add = remotes.map(({ serverName }) => serverName)
    await world.ingest([{ type: 'servers', room_id: ROOM, add }])
  })
  afterEach(() => world.stop())

  const ask = async (since?: string) => {
    const path = `/v1/ingest/unreachable${since === undefined ? '' : `?since=${since}`}`
    return (await world.request(path, { token: 'ingest-token' })).body as Unreachable
  }
  const named = ({ servers, up }: Unreachable) => [servers.map(({ server }) => server), up]
  /** An event for all of them; resolves when each was tried. */
  const send = async () => {
    const tried = 'select count(*)::int as n from attempts'
    const count = async () => (await world.pool.query<{ n: number }>(tried)).rows[0]?.n ?? 0
    const before = await count()
    await world.ingest([world.event(ROOM).item])
    await until(async () => (await count()) >= before + remotes.length, { what: 'an attempt each' })
    await world.released()
  }
  const names = (...which: number[]) => which.map((n) => remotes[n]?.serverName).sort()

  it('is told those that fail, and then what has changed', async () => {
    expect(await ask()).to.deep.include({ servers: [], up: [] })
    remotes[0]?.behave(errorPage(502))
    await remotes[1]?.stop()
    await send()
    const first = await ask()
    expect(named(first)).to.deep.equal([names(0, 1), []])
    const [one] = first.servers
    expect(one?.next_attempt).to.be.within(
      (one?.failing_since ?? 0) + 8 * MINUTE,
      (one?.failing_since ?? 0) + 12 * MINUTE,
    )

    // Long after: nothing is new.
    await world.moveClock(5 * MINUTE)
    const second = await ask(first.token)
    await world.moveClock(2 * MINUTE)
    expect(named(await ask(second.token))).to.deep.equal([[], []])

    remotes[0]?.behave({ kind: 'ok' })
    await world.moveClock(20 * MINUTE)
    await until(async () => (await ask(second.token)).up.length === 1, { what: 'the first to be back' })
    expect((await ask(second.token)).up).to.deep.equal(names(0))
    expect(named(await ask())).to.deep.equal([names(1), []])
  })

  it('is told all of them where its token is unknown, or of a clock that was set back', async () => {
    await remotes[2]?.stop()
    await send()
    for (const token of ['x', 'u1-', 'u1-999999999999999', 'u1-1e5', '', '-1'])
      expect(named(await ask(token)), token).to.deep.equal([names(2), []])
  })
})
