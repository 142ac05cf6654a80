import { expect } from 'chai'
import type { HostileRemotes } from '../support/hostile-remote.ts'
import { startHostileRemotes } from '../support/hostile-remote.ts'
import { answers } from '../support/hostile-answers.ts'
import { until } from '../support/poll.ts'
import { watchForStalls } from '../support/stall.ts'
import { loopbackAuthority, makeWorld, type World } from './world.ts'

const ROOM = '!room:home.example'
const QUIET = '!quiet:home.example'
const LAG_MS = 200
/** Of these there are 64. */
const MANY = '4 MiB of keys'
/** These never end: their requests are given less time than those of the others, which a busy machine may keep waiting. */
const SLOW = ['slow bytes', 'slow informational answers']
const SLOW_MS = 4_000

interface Attempt {
  outcome: string
  status: number | null
  message: string | null
}

describe('hostile remotes, before a whole daemon', () => {
  let world: World
  let hostile: HostileRemotes
  before(async function () {
    this.timeout(300_000)
    // A lease that a stall of some seconds would lose, and no second attempt while the test looks.
    const federation = {
      request_timeout_ms: 120_000,
      backoff: { first_ms: 600_000, max_ms: 600_000 },
      max_concurrency: 256,
    }
    world = await makeWorld({ settings: { federation, internal: { lease_ms: 15_000, linger_ms: 50 } } })
    await world.start()
    const count = Object.keys(answers).map((name) => [name, name === MANY ? 64 : 1] as const)
    hostile = await startHostileRemotes((await loopbackAuthority()).tls, Object.fromEntries(count))
  })
  after(async () => {
    await hostile.close()
    await world.stop()
  })

  it('have a recorded outcome each, while the loop goes on, leases are kept and others are served', async () => {
    const names = Object.values(hostile.names).flat()
    const remote = await world.remote()
    await world.ingest([
      { type: 'servers', room_id: ROOM, add: names },
      { type: 'servers', room_id: QUIET, add: [remote.serverName] },
    ])
    // The first answer of each is an ordinary one: then there is a connection.
    const first = world.event(ROOM)
    await hostile.know([first.eventId])
    await world.ingest([first.item])
    await until(async () => (await attempts()).length >= names.length, {
      what: 'a first answer of each',
      withinMs: 120_000,
    })
    await world.quiet()
    const slow = SLOW.flatMap((what) => hostile.names[what] ?? [])
    await world.pool.query('update destinations set timeout_ms = $1 where name = any($2)', [SLOW_MS, slow])

    const workers = await leases()
    const before = process.memoryUsage().rss
    const second = world.event(ROOM)
    await hostile.know([second.eventId])
    const stalls = watchForStalls()
    await world.ingest([second.item])
    let served = 0
    await until(
      async () => {
        const event = world.event(QUIET)
        await world.ingest([event.item])
        await until(() => remote.received.has(event.eventId), {
          what: 'an ordinary server to be served meanwhile',
        })
        served += 1
        return (await attempts()).length >= 2 * names.length
      },
      { what: 'an outcome of each', withinMs: 180_000 },
    )
    stalls.stop()
    expect(served).to.be.greaterThan(1)
    expect(stalls.longestMs(), 'lag').to.be.below(LAG_MS)
    expect((process.memoryUsage().rss - before) / 2 ** 20, 'MiB more').to.be.below(250)
    expect(await leases(), 'the lease').to.deep.equal(workers)
    for (const [what, them] of Object.entries(hostile.names)) {
      const [attempt] = await attemptsOf(them[0] ?? '')
      expect(attempt?.outcome, `${what}: ${attempt?.message}`).to.equal(
        ANSWERED.has(what) ? 'answered' : 'failed',
      )
      if (attempt?.outcome === 'failed') expect(attempt.message, what).to.match(/^[ -~–…]+$/)
    }
    const failing = await world.pool.query(
      `select from destinations where failures = 1 and retry_at > now_ms() and last_error->>'kind' <> 'internal'`,
    )
    const ordinary = [...ANSWERED].filter((what) => what in hostile.names).length
    expect(failing.rowCount).to.equal(names.length - ordinary)
    for (const [name, bytes] of await hostile.written()) expect(bytes, name).to.be.below(12 * 1024 * 1024)
  }).timeout(300_000)

  /** What of it can be read says nothing wrong. */
  const ANSWERED = new Set([
    ...['ordinary', '256 KiB of keys', 'a nested error', 'an error of escapes', 'odd headers'],
    ...['more than its length', 'a second answer'],
  ])

  const attempts = async () =>
    (
      await world.pool.query<object>(`select from attempts a join destinations d on d.id = a.destination
      join memberships m on m.destination = d.id join rooms r on r.id = m.room where r.room_id = '${ROOM}'`)
    ).rows

  const leases = async () =>
    (await world.pool.query<{ id: string }>('select id from workers order by id')).rows

  async function attemptsOf(name: string): Promise<Attempt[]> {
    const { body } = await world.request(`/v1/destinations/${name}/transactions`, { token: 'read-token' })
    return (body as { transactions: Attempt[] }).transactions
  }
})
