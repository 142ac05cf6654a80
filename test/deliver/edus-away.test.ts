/**
 * EDUs of a destination that was away: for a day, in which much was said, and with a backlog that is large. The real look on a real
 * database; what happened in that day was taken by the real ingest, below its door.
 */
import { expect } from 'chai'
import { MAX_EDUS } from '../../src/matrix/transaction.ts'
import { systemClock } from '../../src/pace/clock.ts'
import {
  eduRequest,
  makeEduWorld,
  receipts,
  toDevice,
  typing,
  type EduWorld,
  type GivenEdu,
} from '../ingest/edu-world.ts'
import { receiptOf } from '../ingest/edu/edu-item.ts'
import { ROOM, servers, sticky } from '../ingest/ingest-world.ts'
import { watchLiveMemory } from '../support/live-memory.ts'
import { costedPool, sumOf, type CostedPool } from '../support/plans.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest } from './step-stage.ts'

const B = 'b.example'
const DAY = 86_400_000
const BODY = 4_000_000
/** What is given at once. */
const BATCH = 1_000
const [STALE, MESSAGES, MINUTE] = [100_000, 5_000, 60_000]
const ROOMS = Array.from({ length: 30 }, (_, i) => `!room${i}:home.example`)

interface Body {
  pdus: unknown[]
  edus?: { edu_type: string; content: { message_id?: string } }[]
}

describe('a destination that was away', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B, 'other.example'] })])
  })
  afterEach(() => world.pool.end())

  const give = async (items: readonly object[]) => {
    for (let from = 0; from < items.length; from += BATCH)
      await world.append(eduRequest(items.slice(from, from + BATCH)))
  }
  const comesBack = async () => {
    const sent: { bytes: number; body: Body }[] = []
    const stage = await holdInTest(world.pool, B, {
      ...reachable(({ body }) => {
        sent.push({ bytes: body.length, body: JSON.parse(body.toString()) as Body })
        return Promise.resolve(ANSWERED)
      }),
      maxBodyBytes: BODY,
    })
    for (let steps = 0; steps < 400; steps += 1) {
      const looked = await stage.step()
      if (looked.kind === 'let go' && looked.lookAt === null) return { sent, statements: stage.statements }
      if (looked.kind === 'let go')
        await world.pool.query('update destinations set ephemeral_at = ephemeral_at - 1000')
    }
    throw new Error('it never ends')
  }
  const ids = (bodies: { body: Body }[]) =>
    bodies.flatMap(({ body }) => (body.edus ?? []).flatMap(({ content }) => content.message_id ?? []))

  it('for a day gets sticky events and to-device messages first, all of these in order, and nothing that is stale; its first look is a small one', async () => {
    await world.take(ROOMS.map((room) => servers({ add: [B, 'other.example'] }, room)))
    await setClock(-DAY)
    await world.pool.query('update destinations set failing_since = now_ms(), failures = 9')
    const every = (STALE + MESSAGES) / MESSAGES
    for (let from = 0; from < STALE + MESSAGES; from += BATCH) {
      await setClock(-DAY * (1 - from / (STALE + MESSAGES)))
      await give(Array.from({ length: BATCH }, (_, i) => itemAt(from + i, every)))
    }
    await setClock(0)
    await world.take([sticky(), sticky()])
    await world.pool.query('vacuum analyze')
    const client = await world.pool.connect()
    try {
      const costs = costedPool(world.pool, client)
      const back = await comesBackFromAfar(costs)
      const figures = JSON.stringify({ ...back, ids: back.ids.length })
      expect(back.ids).to.deep.equal(Array.from({ length: MESSAGES }, (_, i) => `m${i}`))
      expect([...back.types], figures).to.deep.equal(['m.direct_to_device'])
      expect(back.first, figures).to.deep.equal({ pdus: 2, edus: MAX_EDUS })
      expect(back.requests, figures).to.equal(MESSAGES / MAX_EDUS)
      expect(back.bytes, figures).to.be.below(MESSAGES * 600)
      expect(back.blocks, figures).to.be.below(500)
      expect(back.mostHeld, figures).to.be.below(10_000_000)
    } finally {
      client.release()
    }
  }).timeout(120_000)

  it('with a hundred messages of half a megabyte gets each by itself, and no body is over the limit', async () => {
    await give(
      Array.from({ length: 100 }, (_, i) => toDevice(`m${i}`, [B], { content: messageOf(i, 500_000) })),
    )
    const { sent } = await comesBack()
    expect(ids(sent)).to.deep.equal(Array.from({ length: 100 }, (_, i) => `m${i}`))
    expect(Math.max(...sent.map(({ bytes }) => bytes))).to.be.below(BODY)
    expect(sent.every(({ body }) => body.edus?.length === 1)).to.equal(true)
  }).timeout(60_000)

  it('a short time gets what is not stale: of each key the last', async () => {
    await give([typing(true), typing(false), receipts(['a']), receipts(['a', 'b'])])
    await world.pool.query('update destinations set failing_since = $1, failures = 2', [
      systemClock.now() - 60_000,
    ])
    const { sent } = await comesBack()
    const edus = sent.flatMap(({ body }) => body.edus ?? [])
    expect(edus.map(({ edu_type }) => edu_type).sort()).to.deep.equal(['m.receipt', 'm.typing'])
    expect(JSON.stringify(edus)).to.include('"typing":false')
  })

  /** The database's clock beside the machine's, ms. */
  const setClock = (offset: number) =>
    world.pool.query(
      `insert into settings (key, value) values ('clock_offset_ms', $1) on conflict (key) do update set value = excluded.value`,
      [String(Math.round(offset))],
    )
  /** Of a day: every so manieth is a message. */
  const itemAt = (i: number, every: number): GivenEdu => {
    if (i % every === every - 1) {
      const n = (i + 1) / every - 1
      return toDevice(`m${n}`, [B], { content: messageOf(n) })
    }
    const room = ROOMS[i % ROOMS.length] ?? ''
    const user = `u${(i * 7) % 1_000}`
    if (i % 3 === 1) return receiptIn(room, user)
    return i % 3 === 0 ? typingIn(room, user, i % 2 === 0) : presence((i * 7) % 1_000, room)
  }
  /** What came, and what it took. Nothing of it is kept, so that the memory is that of the look. */
  const comesBackFromAfar = async (costed: CostedPool) => {
    const ids: string[] = []
    const types = new Set<string>()
    let [requests, bytes, blocks, mostHeld, connected] = [0, 0, 0, 0, false]
    let first = { pdus: 0, edus: 0 }
    const memory = watchLiveMemory(MINUTE)
    const remote = reachable(({ body }) => {
      if (requests === 0) blocks = sumOf(costed.costs()).blocks
      if (requests % 10 === 0) mostHeld = Math.max(mostHeld, memory.most())
      const { pdus, edus = [] } = JSON.parse(body.toString()) as Body
      if (requests === 0) first = { pdus: pdus.length, edus: edus.length }
      requests += 1
      bytes += body.length
      for (const { edu_type: type, content } of edus) {
        types.add(type)
        ids.push(String(content.message_id))
      }
      return Promise.resolve(ANSWERED)
    })
    const stage = await holdInTest(costed.pool, B, {
      ...remote,
      isConnected: () => connected,
      connect: (...given) => {
        connected = true
        return remote.connect(...given)
      },
      maxBodyBytes: BODY,
    })
    try {
      for (let steps = 0; steps < 400; steps += 1)
        if ((await stage.step()).kind === 'let go')
          return { ids, types, requests, bytes, blocks, mostHeld, first }
    } finally {
      memory.stop()
    }
    throw new Error('it never ends')
  }
  const typingIn = (room: string, user: string, isTyping: boolean) =>
    typing(isTyping, {
      content: { room_id: room, user_id: `@${user}:home.example`, typing: isTyping },
      rooms: [room],
    })
  const receiptIn = (room: string, user: string) =>
    receipts([user], {
      content: { [room]: { 'm.read': { [`@${user}:home.example`]: receiptOf('$e') } } },
      rooms: [room],
    })
  const presence = (user: number, room = ROOM): GivenEdu => ({
    edu_type: 'm.presence',
    content: { push: [{ user_id: `@u${user}:home.example`, presence: 'online' }] },
    rooms: [room],
  })
  const messageOf = (i: number, bytes = 200) => ({
    sender: `@u${i % 100}:home.example`,
    type: 'm.room.encrypted',
    message_id: `m${i}`,
    messages: { [`@b:${B}`]: { DEVICE: { text: 'x'.repeat(bytes) } } },
  })
})
