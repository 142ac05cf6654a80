import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { loopbackAuthority, makeWorld, type World } from '../e2e/world.ts'
import { until } from '../support/poll.ts'
import { startRawRemote, type RawRequest } from '../wire/raw-remote.ts'
import { ANSWERS, type AnswerCase } from './cases.ts'

const MINUTE = 60_000
const BACKOFF_MINUTES = 10
const ROOM = '!room:home.example'

interface Seen {
  next_attempt: number | null
  open_transaction: string | null
  pending_pdus: number
}
interface Attempt {
  outcome: string
  status: number | null
  message: string | null
  pdu_errors: Record<string, string> | null
}

describe('what becomes of each answer to a transaction', () => {
  let world: World
  const closers: (() => void)[] = []
  let eventId = ''
  let now = 0
  const servers = new Map<AnswerCase, { name: string; remote: FakeHomeserver | null }>()

  /** One event for all of them at once; each is asked what came of it afterwards. */
  before(async function () {
    this.timeout(120_000)
    const federation = {
      backoff: { first_ms: BACKOFF_MINUTES * MINUTE, max_ms: BACKOFF_MINUTES * MINUTE, jitter: 0 },
    }
    world = await makeWorld({ settings: { federation, internal: { lease_ms: 30_000, linger_ms: 50 } } })
    await world.start()
    for (const one of Object.values(ANSWERS).flat()) servers.set(one, await serverThat(one.does))
    const names = [...servers.values()].map(({ name }) => name)
    await world.ingest([{ type: 'servers', room_id: ROOM, add: names }])
    const hangs = [...servers].filter(([{ does }]) => typeof does === 'object' && does.kind === 'hang')
    await world.pool.query('update destinations set timeout_ms = 2000 where name = any($1)', [
      hangs.map(([, { name }]) => name),
    ])
    const event = world.event(ROOM)
    eventId = event.eventId
    await world.ingest([event.item])
    const tried = 'select count(distinct destination)::int as n from attempts'
    await until(async () => (await world.pool.query<{ n: number }>(tried)).rows[0]?.n === names.length, {
      what: 'an attempt for each',
      withinMs: 60_000,
    })
    await world.released()
    now = (await world.pool.query<{ now: number }>('select now_ms()::float8 as now')).rows[0]?.now ?? 0
  })
  after(async () => {
    for (const close of closers) close()
    await world.stop()
  })

  for (const [what, cases] of Object.entries(ANSWERS))
    describe(what, () => {
      for (const one of cases) it(one.about, () => check(one))
    })

  async function check(one: AnswerCase): Promise<void> {
    const { name = '', remote } = servers.get(one) ?? {}
    const seen = await ask<Seen>(`/v1/destinations/${name}`)
    const { transactions } = await ask<{ transactions: Attempt[] }>(`/v1/destinations/${name}/transactions`)
    expect(transactions, 'attempts').to.have.length(1)
    const { outcome, status, message, pdu_errors: errors } = transactions[0] as Attempt
    expect({ outcome, status }).to.deep.equal({ outcome: one.outcome, status: one.status })
    expect(withoutAddress(message)).to.equal(one.message)
    expect(errors).to.deep.equal(one.pduError === undefined ? null : { [eventId]: one.pduError })
    const kept = seen.open_transaction !== null ? 'stays' : seen.pending_pdus === 0 ? 'done' : 'made anew'
    expect(kept).to.equal(one.transaction)
    if (one.next === 'nothing is owed')
      expect([seen.next_attempt, seen.pending_pdus]).to.deep.equal([null, 0])
    else {
      const minutes = one.next === 'backoff' ? BACKOFF_MINUTES : one.next
      expect(((seen.next_attempt ?? 0) - now) / MINUTE, 'minutes').to.be.within(minutes - 2, minutes + 0.1)
    }
    if (remote === null || remote === undefined) return
    expect(remote.violations).to.deep.equal([])
    // One attempt; a request whose idle connection ended under it may go twice, and a redirect goes nowhere.
    expect(remote.transactions.length, 'transaction ids').to.be.at.most(1)
  }

  async function serverThat(does: AnswerCase['does']) {
    if (does === 'never ends its answer') {
      const remote = await startRawRemote((await loopbackAuthority()).tls, writeForEver)
      closers.push(() => remote.close())
      return { name: remote.serverName, remote: null }
    }
    const remote = await world.remote(
      does === 'has another name in its certificate' ? { certificate: ['other.example'] } : {},
    )
    if (does === 'refuses connections') await remote.stop()
    else if (does !== 'has another name in its certificate') remote.behave(does)
    return { name: remote.serverName, remote }
  }

  async function ask<Body>(path: string): Promise<Body> {
    return (await world.request(path, { token: 'read-token' })).body as Body
  }
})

/** Ports differ from run to run. */
const withoutAddress = (message: string | null) => message?.replaceAll(/127\.0\.0\.1:\d+/g, 'ADDRESS') ?? null

function writeForEver({ socket }: RawRequest): void {
  socket.write('HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n')
  const more = () => {
    while (!socket.destroyed && socket.write(' '.repeat(16_384)));
  }
  socket.on('drain', more)
  more()
}
