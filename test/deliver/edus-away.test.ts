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
import { servers, sticky } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest } from './step-stage.ts'

const B = 'b.example'
const DAY = 86_400_000
const BODY = 4_000_000
/** What is given at once. */
const BATCH = 500

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

  it('for a day gets sticky events and to-device messages first, all of these in order, and nothing that is stale', async () => {
    const messages = Array.from({ length: 5_000 }, (_, i) =>
      toDevice(`m${i}`, [B], { content: messageOf(i) }),
    )
    const stale: GivenEdu[] = Array.from({ length: 10_000 }, (_, i) =>
      i % 3 === 0 ? typing(true) : i % 3 === 1 ? receipts([`u${i % 50}`]) : presence(i % 100),
    )
    const between = Array.from({ length: 10_000 }, (_, i) =>
      i % 2 === 0 ? messages[i / 2] : stale[i],
    ).filter((item) => item !== undefined)
    await give(between)
    await give(stale)
    await world.take([sticky(), sticky()])
    await world.pool.query('update destinations set failing_since = $1, failures = 9', [
      systemClock.now() - DAY,
    ])
    const { sent } = await comesBack()
    expect(ids(sent)).to.deep.equal(messages.map((_, i) => `m${i}`))
    expect(sent[0]?.body.pdus).to.have.length(2)
    expect(sent[0]?.body.edus).to.have.length(MAX_EDUS)
    const types = new Set(sent.flatMap(({ body }) => (body.edus ?? []).map(({ edu_type }) => edu_type)))
    expect([...types]).to.deep.equal(['m.direct_to_device'])
    expect(sent.length, 'requests').to.equal(50)
  }).timeout(60_000)

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

  const presence = (user: number): GivenEdu => ({
    edu_type: 'm.presence',
    content: { push: [{ user_id: `@u${user}:home.example`, presence: 'online' }] },
    rooms: ['!room:home.example'],
  })
  const messageOf = (i: number, bytes = 200) => ({
    sender: `@u${i % 100}:home.example`,
    type: 'm.room.encrypted',
    message_id: `m${i}`,
    messages: { [`@b:${B}`]: { DEVICE: { text: 'x'.repeat(bytes) } } },
  })
})
