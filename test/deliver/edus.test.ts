/** EDUs on their way to a destination: the real look on a real database, from ingest (below its door) to the bytes that are sent. */
import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { eduRequest, makeEduWorld, receipts, toDevice, typing, type EduWorld } from '../ingest/edu-world.ts'
import { event, servers } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { makeTogether } from '../../src/deliver/together.ts'
import { serve } from '../../src/deliver/serve.ts'
import { ANSWERED, holdInTest, UNANSWERED } from './step-stage.ts'

const B = 'b.example'

interface Body {
  pdus: unknown[]
  edus?: { edu_type: string; content: Record<string, unknown> }[]
}

describe('EDUs on their way', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] })])
  })
  afterEach(() => world.pool.end())

  async function hold(more: Parameters<typeof holdInTest>[2] = {}) {
    const bodies: { txnId: string; text: string }[] = []
    let answer = ANSWERED
    const stage = await holdInTest(world.pool, B, {
      ...reachable(({ txnId, body }) => {
        bodies.push({ txnId, text: body.toString() })
        return Promise.resolve(answer)
      }),
      ...more,
    })
    return {
      ...stage,
      bodies,
      answers: (with_: typeof answer) => (answer = with_),
      said: () => bodies.map(({ text }) => JSON.parse(text) as Body),
    }
  }
  const row = async () => {
    const [found] = await world.rows<{ d: number; e: number }>(
      `select durable_pos::int as d, ephemeral_pos::int as e from destinations where name = '${B}'`,
    )
    return found
  }

  it('go with PDUs in one transaction, durable ones first, and the cursors are past them after the answer', async () => {
    await world.append(eduRequest([event(), typing(), toDevice('m1', [B])]))
    const it = await hold()
    await it.toTheEnd()
    const [body, ...more] = it.said()
    expect(more).to.deep.equal([])
    expect(body?.pdus).to.have.length(1)
    expect(body?.edus?.map((edu) => edu.edu_type)).to.deep.equal(['m.direct_to_device', 'm.typing'])
    const { d, e } = (await row())!
    expect([d, e]).to.deep.equal([4, 4])
  })

  it('go alone where no PDU waits', async () => {
    await world.append(eduRequest([receipts(['a', 'b'])]))
    const it = await hold()
    await it.toTheEnd()
    expect(it.said().map(({ pdus, edus }) => [pdus.length, edus?.length])).to.deep.equal([[0, 1]])
  })

  it('are not read where the stream has none', async () => {
    await world.take([event()])
    const it = await hold()
    await it.toTheEnd()
    expect(it.statements.filter((name) => name?.includes('EDU'))).to.deep.equal([])
    expect(it.said()[0]).not.to.have.property('edus')
  })

  it('go again as the same bytes while they are unanswered, and are not sent twice after that', async () => {
    await world.append(eduRequest([event(), toDevice('m1', [B]), typing()]))
    const it = await hold({
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 86_400_000 },
    })
    it.answers(UNANSWERED)
    await it.step()
    it.answers(ANSWERED)
    await it.toTheEnd()
    expect(it.bodies).to.have.length(2)
    expect(it.bodies[1]).to.deep.equal(it.bodies[0])
  })

  it('presence alone waits for company, and its destination is let go until then', async () => {
    await world.append(
      eduRequest([
        {
          edu_type: 'm.presence',
          content: { push: [{ user_id: '@alice:home.example', presence: 'online' }] },
          rooms: ['!room:home.example'],
        },
      ]),
    )
    const it = await hold()
    const looked = await it.step()
    expect(looked.kind).to.equal('let go')
    if (looked.kind !== 'let go') return
    expect(looked.lookAt! - systemClock.now()).to.be.within(5_000, 10_500)
    expect(it.bodies).to.deep.equal([])
  })

  it('where they wait for their time the destination is handed to who reads the log, unless it was slow or something else waits', async () => {
    const presence = {
      edu_type: 'm.presence',
      content: { push: [{ user_id: '@alice:home.example', presence: 'online' }] },
      rooms: ['!room:home.example'],
    }
    await world.take([toDevice('before', [B]), presence])
    const it = await hold()
    const begun: {
      position: number
      durablePos: number
      ephemeralPos: number
      lastSuccess: number | null
    }[] = []
    const follow = {
      ...{ has: () => false, mayBegin: () => true, woken: () => undefined },
      begin: ({ state }: { state: (typeof begun)[number] }) => {
        const { position, durablePos, ephemeralPos, lastSuccess } = state
        begun.push({ position, durablePos, ephemeralPos, lastSuccess })
        return Promise.resolve(true)
      },
    }
    const { signal } = new AbortController()
    const lease = { id: it.held.worker, signal, stillHeld: () => true }
    const { letGo } = makeTogether(world.pool)
    const served = () => serve({ ...it.needs, letGo, follow, stopping: signal }, it.held, lease, signal)
    await it.step()
    await it.step()
    expect(it.bodies).to.have.length(1)
    await world.take([toDevice('theirs', ['c.example']), presence])
    await world.rows('update destinations set last_success = 7 where name = $1', [B])
    expect(await served()).to.deep.equal({ again: false, followed: true })
    const head = await world.head()
    const waits = { position: head, durablePos: head, ephemeralPos: head - 1, lastSuccess: 7 }
    expect(begun).to.deep.equal([waits])
    expect(it.bodies).to.have.length(1)
    await world.rows('update destinations set quick = false where name = $1', [B])
    expect(await served()).to.deep.equal({ again: false })
    expect(begun).to.have.length(1)
  })
})
