/** A failing destination gets a sticky event before that lapses, though its next ordinary attempt is far beyond (contract 5.8). */
import { expect } from 'chai'
import { tooManyRequests } from '../../src/simulate/fleet/behaviour.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'
import { makeWorld, PATIENT, type World } from './world.ts'

const SECOND = 1_000
const MINUTE = 60_000
const HOUR = 3_600_000
const ROOM = '!call:home.example'
const OTHER = '!other:home.example'
const DOWN = { kind: 'cut off' } as const

describe('a destination that fails while something sticky is owed to it', () => {
  let world: World
  let remote: FakeHomeserver
  beforeEach(async () => {
    const backoff = { first_ms: 2 * HOUR, max_ms: 8 * HOUR }
    world = await makeWorld({ settings: { ...PATIENT, federation: { backoff } } })
    await world.start()
    remote = await world.remote()
    await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }])
  })
  afterEach(() => world.stop())

  interface Row {
    failures: number
    retry_at: number
    retry_interval: number
    now: number
    due: number
  }
  const row = async () =>
    (
      await world.pool.query<Row>(
        `select failures, retry_at, retry_interval, now_ms() as now, look_at - now_ms() as due from destinations where name = $1`,
        [remote.serverName],
      )
    ).rows[0]!
  /** It has had so many requests, and what came of the last is written down. */
  const tried = async (requests: number) => {
    await until(() => remote.requests >= requests, { what: `request ${requests}` })
    await world.released()
    expect(remote.requests).to.equal(requests)
  }
  const send = async (stickyMs: number | null, room = ROOM) => {
    const { rows } = await world.pool.query<{ now: number }>('select now_ms() as now')
    const event = world.event(room, { originServerTs: rows[0]!.now, ...(stickyMs !== null && { stickyMs }) })
    await world.ingest([event.item])
    return event
  }
  const fails = async () => {
    remote.behave(DOWN)
    await send(null)
    await tried(1)
  }

  it('is tried at 1/2, 3/4 and 7/8 of its life, and gets it, though it was down for four fifths of that', async () => {
    remote.behave(DOWN)
    const event = await send(5 * MINUTE)
    await tried(1)
    const before = await row()
    expect(before.due, 'the next look').to.be.within(140 * SECOND, 150 * SECOND)
    await world.moveClock(before.due + 100)
    await tried(2)
    const { now, due, ...waits } = await row()
    expect(waits).to.deep.equal({
      failures: 1,
      retry_at: before.retry_at,
      retry_interval: before.retry_interval,
    })
    expect(due, 'the look after that').to.be.within(65 * SECOND, 75 * SECOND)
    await world.moveClock(due + 100)
    await tried(3)
    await world.moveClock(16 * SECOND)
    remote.behave({ kind: 'ok' })
    const last = await row()
    expect(remote.requests, 'back at 4/5').to.equal(3)
    expect(last.retry_at - now).to.be.above(HOUR)
    await world.moveClock(last.due + 100)
    await until(() => remote.received.has(event.eventId), { what: 'the sticky event' })
    expect((await row()).now - before.now).to.be.below(5 * MINUTE)
    expect(remote.violations).to.deep.equal([])
    expect(new Set(remote.transactions.map(({ txnId }) => txnId)).size).to.equal(1)
  })

  it('is tried for one that comes then, and again before it lapses', async () => {
    await fails()
    await world.moveClock(10 * MINUTE)
    const first = await send(5 * MINUTE)
    await tried(2)
    const { due } = await row()
    expect(due, 'half of its life').to.be.within(140 * SECOND, 150 * SECOND)
    remote.behave({ kind: 'ok' })
    await world.moveClock(due + 100)
    await until(() => remote.received.has(first.eventId), { what: 'the sticky event' })
  })

  it('gets one that comes when it is up again at once', async () => {
    await fails()
    await world.moveClock(10 * MINUTE)
    remote.behave({ kind: 'ok' })
    const event = await send(5 * MINUTE)
    await until(() => remote.received.has(event.eventId), { what: 'the sticky event' })
  })

  it('is left alone for one that is not sticky, and when it has failed for an hour', async () => {
    await fails()
    const { retry_at } = await row()
    await world.moveClock(10 * MINUTE)
    await send(null)
    await world.moveClock(51 * MINUTE)
    await send(5 * MINUTE)
    await world.moveClock(3 * MINUTE)
    const swept = async () =>
      (await world.pool.query<{ pos: number }>(`select pos from cursors where name = 'fanout'`)).rows[0]!
        .pos === 4
    await until(swept, { what: 'the fanout' })
    expect(await row()).to.include({ failures: 1, retry_at })
    // Two hours, a fifth less or more by chance, of which 64 minutes are over.
    expect((await row()).due).to.be.above(30 * MINUTE)
    expect(remote.requests).to.equal(1)
  })

  it('that asked for no requests gets none before that, and what it missed is counted', async () => {
    const event = await send(5 * MINUTE, OTHER)
    remote.behave(tooManyRequests(10 * MINUTE))
    await send(5 * MINUTE)
    await tried(1)
    await world.ingest([{ type: 'servers', room_id: OTHER, add: [remote.serverName] }])
    remote.behave({ kind: 'ok' })
    for (const ms of [151, 75, 38, 20].map((s) => s * SECOND)) {
      await world.moveClock(ms)
      await until(async () => (await row()).due > MINUTE, { what: 'a look that finds that it must wait' })
    }
    const lapsed = async () => {
      const { body } = await world.request('/metrics', {})
      return Number(/^limpet_sticky_lapsed_total (\d+)$/m.exec(body as string)?.[1])
    }
    await world.moveClock(20 * SECOND)
    await until(async () => (await lapsed()) === 1, { what: 'the count' })
    expect(remote.requests).to.equal(1)
    expect(remote.received.has(event.eventId)).to.equal(false)
  })
})
