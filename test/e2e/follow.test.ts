/** Destinations in traffic, which are followed: a whole daemon, remotes that watch, and everything that may come between. */
import { expect } from 'chai'
import { systemClock, type Clock } from '../../src/pace/clock.ts'
import { redact } from '../../src/matrix/redaction.ts'
import { roomVersion } from '../../src/matrix/room-versions.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { startFakeHomeserver, type FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { until } from '../support/poll.ts'
import { sharedServer } from '../support/postgres.ts'
import { loopbackAuthority, makeWorld, OURS, type SentEvent, type World } from './world.ts'

const ROOM = '!room:home.example'
const OTHER_ROOM = '!other:home.example'
const MINUTE = 60_000
/** Nobody is let go, and no lease runs out, because the machine is slow or a clock was moved. */
const FOLLOWING = { internal: { lease_ms: 3 * MINUTE, linger_ms: 10 * MINUTE }, shutdown_grace_ms: 30_000 }

describe('a destination in traffic', () => {
  let world: World
  let remote: FakeHomeserver
  /** Remotes of the test's own. */
  let others: FakeHomeserver[] = []
  beforeEach(async () => {
    world = await makeWorld({ settings: FOLLOWING })
    remote = await world.remote()
  })
  afterEach(async () => {
    await world.stop()
    await Promise.all(others.map((one) => one.stop()))
    others = []
  })

  const add = (room = ROOM, who = remote) => ({ type: 'servers', room_id: room, add: [who.serverName] })
  const remove = (room = ROOM, who = remote) => ({ type: 'servers', room_id: room, remove: [who.serverName] })
  const ids = (events: readonly SentEvent[]) => events.map(({ eventId }) => eventId)
  const send = async (room = ROOM, item: Record<string, unknown> = {}) => {
    const event = world.event(room, { item })
    await world.ingest([event.item])
    return event
  }
  const arrived = (event: SentEvent, who = remote) =>
    until(() => who.received.has(event.eventId), { what: 'an event' })
  const act = (verb: string) =>
    world.request(`/v1/destinations/${remote.serverName}/${verb}`, { method: 'POST', token: 'admin-token' })
  const row = async (who = remote) =>
    (
      await world.pool.query<{
        follows: boolean
        fence: number
        position: number
        held: boolean
        attempts: number
      }>(
        `select follows, fence, position, lease_owner is not null as held,
                (select count(*)::int from attempts a where a.destination = d.id) as attempts
           from destinations d where name = $1`,
        [who.serverName],
      )
    ).rows[0]
  /** Events that only bring traffic: who was woken once too often is let go, and is followed with the next one. */
  const probes = new Set<string>()
  const isFollowed = (who = remote) =>
    until(
      async () => {
        const { follows, held } = (await row(who)) ?? {}
        if (held === false) probes.add((await send('!probe:home.example', { to: [who.serverName] })).eventId)
        return follows === true
      },
      { what: 'it to be followed', everyMs: 200 },
    )
  const got = (who = remote) => [...who.received.keys()].filter((id) => !probes.has(id))
  const isLetGo = (who = remote) =>
    until(async () => (await row(who))?.held === false, { what: 'it to be let go' })
  /** What was sent is written down. */
  const isSettled = (who = remote) =>
    until(
      async () => {
        const sql = `select from destinations d join stream s on s.head = d.position where d.name = $1
                        and not exists (select 1 from open_transactions o where o.destination = d.id)`
        return (await world.pool.query(sql, [who.serverName])).rowCount === 1
      },
      { what: 'everything to be acknowledged' },
    )
  /** A daemon that has sent a first event, and follows since. */
  const begin = async (who = remote) => {
    const first = world.event(ROOM)
    await world.ingest([add(ROOM, who), first.item])
    await arrived(first, who)
    await isFollowed(who)
    return first
  }
  /** The process has read the log up to its end, for `remote`, which it follows. */
  const isReadUpToNow = async () => arrived(await send())
  const eachOnce = (who = remote) => {
    expect(who.violations).to.deep.equal([])
    expect(who.mostOpenAtOnce).to.equal(1)
    expect(who.transactions.filter(({ requestsAt }) => requestsAt.length !== 1)).to.deep.equal([])
  }

  /** A remote whose answers wait for `open`. */
  async function doorkeeper(): Promise<{ remote: FakeHomeserver; close: () => void; open: () => void }> {
    const { tls } = await loopbackAuthority()
    let letIn: () => void = () => undefined
    let door = Promise.resolve()
    const clock: Clock = { ...systemClock, sleep: () => door }
    const verifyKey = (id: string) => (id === world.key.keyId ? world.key.publicKey : null)
    const one = await startFakeHomeserver({ tls, origin: OURS, verifyKey, clock })
    others.push(one)
    one.behave({ kind: 'ok', delayMs: 1 })
    return {
      remote: one,
      close: () => {
        door = new Promise((resolve) => (letIn = resolve))
      },
      open: () => letIn(),
    }
  }

  it('gets all in order, one id at a time, without another turn, and it is written down', async () => {
    await world.start()
    const events = [await begin()]
    const before = await row()
    for (let n = 0; n < 40; n += 1) {
      const some = Array.from({ length: 1 + (n % 7) }, () => world.event(ROOM))
      events.push(...some)
      await world.ingest(some.map(({ item }) => item))
    }
    const last = await send()
    events.push(last)
    await arrived(last)
    await isSettled()
    expect(got()).to.deep.equal(ids(events))
    eachOnce()
    const after = await row()
    expect((after?.fence ?? 99) - (before?.fence ?? 0), 'turns').to.be.at.most(3)
    expect(after).to.deep.include({ follows: true, held: true })
    expect(after?.attempts).to.equal(Math.min(remote.transactions.length, after?.attempts ?? 0))
    expect(after?.attempts).to.be.at.least(Math.min(remote.transactions.length, 100))
    const { rows } = await world.pool.query<{ txn_id: string }>(
      'select txn_id from attempts order by seq desc',
    )
    const sent = remote.transactions.map(({ txnId }) => txnId).toReversed()
    expect(rows.map(({ txn_id: txnId }) => txnId)).to.deep.equal(sent.slice(0, rows.length))
    const { body } = await world.request(`/v1/events/${encodeURIComponent(last.eventId)}`, {
      token: 'read-token',
    })
    expect(JSON.stringify(body)).to.include(sent[0])
  })

  it('gets what it is in the room for, or addressed by, and nothing else', async () => {
    await world.start()
    const first = await begin()
    const fence = (await row())?.fence
    const expected = [
      first,
      await send(),
      await send('!foreign:home.example', { to: [remote.serverName] }),
      await send('!foreign:home.example', { also_to: [remote.serverName] }),
    ]
    await send(ROOM, { not_to: [remote.serverName] })
    await send(ROOM, { to: [] })
    await send(ROOM, { to: ['127.0.0.1:1'] })
    await send('!foreign:home.example')
    expected.push(await send(ROOM, { also_to: [remote.serverName] }), await send())
    await arrived(expected.at(-1)!)
    await isSettled()
    expect(got()).to.deep.equal(ids(expected))
    expect(((await row())?.fence ?? 99) - (fence ?? 0), 'turns').to.be.at.most(3)
    eachOnce()
  })

  it('gets its kick and nothing after it, and what is sent after it was invited back', async () => {
    await world.start()
    const first = await begin()
    await world.ingest([add(OTHER_ROOM)])
    const said = await send(OTHER_ROOM)
    await arrived(said)
    await isFollowed()
    const kick = world.event(ROOM)
    const secret = world.event(ROOM)
    const public_ = world.event(OTHER_ROOM)
    await world.ingest([kick.item, remove(), secret.item, public_.item])
    const more = await send()
    const afterIt = await send(OTHER_ROOM)
    await arrived(afterIt)
    await world.ingest([add()])
    const back = await send()
    await arrived(back)
    expect(got()).to.deep.equal(ids([first, said, kick, public_, afterIt, back]))
    expect(remote.received.has(more.eventId)).to.equal(false)
    eachOnce()
  })

  it('gets the sticky events of a room that it joins, once, before what is said there next', async () => {
    await world.start()
    await begin()
    const sticky = [1, 2].map(() => world.event(OTHER_ROOM, { stickyMs: 30 * MINUTE }))
    const lapsed = world.event(OTHER_ROOM, { stickyMs: 1 })
    await world.ingest([{ type: 'servers', room_id: OTHER_ROOM, set: [] }, ...sticky.map(({ item }) => item)])
    await world.ingest([lapsed.item])
    await arrived(await send())
    await isFollowed()
    await world.moveClock(5)
    await world.ingest([add(OTHER_ROOM)])
    const next = await send(OTHER_ROOM)
    await arrived(next)
    for (const event of sticky) await arrived(event)
    await arrived(await send())
    expect(remote.received.has(lapsed.eventId)).to.equal(false)
    for (const event of sticky) expect(remote.received.get(event.eventId)?.times).to.equal(1)
    eachOnce()
  })

  it('is sent again what was sticky and its answer did not list, beside what is said meanwhile', async () => {
    await world.start()
    await begin()
    remote.behave({ kind: 'ok', drops: (_id, pdu) => 'msc4354_sticky' in pdu })
    const sticky = world.event(ROOM, { stickyMs: 30 * MINUTE })
    await world.ingest([sticky.item])
    await arrived(await send())
    remote.behave({ kind: 'ok' })
    await isLetGo()
    await arrived(await send())
    expect(remote.received.has(sticky.eventId)).to.equal(false)
    await isSettled()
    await world.moveClock(16_000)
    await arrived(sticky)
    await isSettled()
    // Nothing is owed any more: it is followed as before.
    await arrived(await send())
    await isFollowed()
    eachOnce()
  })

  it('never gets the text that was taken from an event while that waited behind a slow answer', async () => {
    await world.start()
    const { remote: slow, close, open } = await doorkeeper()
    await begin(slow)
    await begin()
    close()
    const { requests } = slow
    await send()
    await slow.seen(requests + 1)
    const event = await send()
    const pdu = redact(event.item['pdu'] as JsonObject, roomVersion('10')!)
    await world.ingest([{ type: 'redact', event_id: event.eventId, pdu }])
    await isReadUpToNow()
    open()
    await arrived(event, slow)
    const last = await send()
    await arrived(last, slow)
    const text = (event.item['pdu'] as { content: { body: string } }).content.body
    expect(slow.transactions.filter(({ body }) => body?.includes(`"${text}"`))).to.deep.equal([])
    eachOnce(slow)
  })

  it('never gets what waited behind a slow answer in a room that was purged', async () => {
    await world.start()
    const { remote: slow, close, open } = await doorkeeper()
    await begin(slow)
    await begin()
    await world.ingest([add(OTHER_ROOM, slow)])
    await arrived(await send(OTHER_ROOM), slow)
    await isFollowed(slow)
    close()
    const { requests } = slow
    await send()
    await slow.seen(requests + 1)
    const gone = await send(OTHER_ROOM)
    const stays = await send()
    await world.ingest([{ type: 'purge', room_id: OTHER_ROOM }])
    await isReadUpToNow()
    open()
    await arrived(stays, slow)
    await arrived(await send(), slow)
    expect(slow.received.has(gone.eventId)).to.equal(false)
    eachOnce(slow)
  })

  it('gets nothing while it is paused, and everything after', async () => {
    await world.start()
    await begin()
    expect((await act('pause')).status).to.equal(200)
    const events = [await send(), await send()]
    await isLetGo()
    for (const event of events) expect(remote.received.has(event.eventId)).to.equal(false)
    expect((await act('resume')).status).to.equal(200)
    for (const event of events) await arrived(event)
    const next = await send()
    await arrived(next)
    await isFollowed()
    eachOnce()
  })

  for (const wish of ['wake', 'reset']) {
    it(`has its rows looked at when an operator asks for it (${wish}), and loses nothing by it`, async () => {
      await world.start()
      await begin()
      expect((await act(wish)).status).to.equal(200)
      await isLetGo()
      for (let n = 0; n < 3; n += 1) {
        const event = await send()
        if (n === 1) await act(wish)
        await arrived(event)
      }
      await isSettled()
      eachOnce()
    })
  }

  it('is served in one process what another one takes in', async () => {
    await world.start(['ingest', 'housekeep'])
    await world.start(['deliver'])
    const events = [await begin()]
    const fence = (await row())?.fence
    for (let n = 0; n < 20; n += 1) {
      events.push(await send())
      if (n % 5 === 0) await arrived(events.at(-1)!)
    }
    await arrived(events.at(-1)!)
    await isSettled()
    expect(got()).to.deep.equal(ids(events))
    expect(((await row())?.fence ?? 99) - (fence ?? 0), 'turns').to.be.at.most(3)
    eachOnce()
  })

  it('goes over to another process when its own stops, in the middle of traffic', async () => {
    await world.start(['ingest', 'housekeep'])
    const daemons = [await world.start(['deliver']), await world.start(['deliver'])]
    const events = [await begin()]
    for (const daemon of daemons) {
      const next = await world.start(['deliver'])
      const stopped = daemon.stop()
      for (let n = 0; n < 20; n += 1) events.push(await send())
      await stopped
      events.push(await send())
      await arrived(events.at(-1)!)
      expect(next.addresses).to.be.an('array')
    }
    await isSettled()
    expect(got()).to.deep.equal(ids(events))
    eachOnce()
  })

  it('has its last answer written down when the daemon stops, and gets the rest at the next start', async () => {
    const { remote: slow, close, open } = await doorkeeper()
    const first = await world.start()
    const events = [await begin(slow)]
    close()
    const { requests } = slow
    events.push(await send())
    await slow.seen(requests + 1)
    events.push(await send(), await send())
    const stopped = first.stop()
    open()
    await stopped
    expect((await world.pool.query('select from open_transactions')).rowCount, 'unanswered').to.equal(0)
    expect(await row(slow)).to.deep.include({ follows: false, held: false })
    await world.start()
    events.push(await send())
    await arrived(events.at(-1)!, slow)
    await isSettled(slow)
    expect(got(slow)).to.deep.equal(ids(events))
    eachOnce(slow)
  })

  it('loses nothing while the database throws everybody out again and again', async () => {
    await world.start()
    const events = [await begin()]
    const name = new URL(world.databaseUrl).pathname.slice(1)
    const sql = `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name not like 'test%'`
    const { url } = await sharedServer()
    const untilTaken = async (event: SentEvent) => {
      await until(
        async () => {
          await world.ingest([event.item])
          return true
        },
        { what: 'ingest to take it' },
      )
      events.push(event)
    }
    for (let n = 0; n < 40; n += 1) {
      const thrownOut = n % 8 === 3 ? query(url, (client) => client.query(sql, [name])) : null
      await untilTaken(world.event(ROOM))
      await thrownOut
    }
    await arrived(events.at(-1)!)
    await isSettled()
    expect(got()).to.deep.equal(ids(events))
    expect(remote.violations).to.deep.equal([])
  })

  it('is let go by a process whose schema is the database’s no more', async () => {
    await world.start()
    await begin()
    await world.pool.query(
      `insert into limpet_migrations (version, name, checksum) values (9999, '9999_new.sql', 'x')`,
    )
    await isLetGo()
    expect(await row()).to.deep.include({ follows: false })
  })
})

describe('a destination in traffic, where nobody is to be followed (linger_ms: 0)', () => {
  it('is let go after each turn, and gets everything', async () => {
    const world = await makeWorld({ settings: { internal: { lease_ms: 3 * MINUTE, linger_ms: 0 } } })
    try {
      await world.start()
      const remote = await world.remote()
      const events: SentEvent[] = []
      for (let n = 0; n < 3; n += 1) {
        const event = world.event(ROOM)
        await world.ingest([{ type: 'servers', room_id: ROOM, add: [remote.serverName] }, event.item])
        events.push(event)
        await until(() => remote.received.has(event.eventId), { what: 'the event' })
        await world.quiet()
      }
      expect([...remote.received.keys()]).to.deep.equal(ids(events))
      const { rows } = await world.pool.query<{ fence: number }>('select fence from destinations')
      expect(rows[0]?.fence, 'turns').to.be.at.least(3)
      expect(remote.violations).to.deep.equal([])
    } finally {
      await world.stop()
    }
  })

  const ids = (events: readonly SentEvent[]) => events.map(({ eventId }) => eventId)
})
