/** A transaction that ends as less is to go at once, after three time-outs, may have arrived: its ephemeral EDUs have no second id (contract 5.2). */
import { expect } from 'chai'
import { eduRequest, makeEduWorld, receipts, toDevice, type EduWorld } from '../ingest/edu-world.ts'
import { event, servers } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest, UNANSWERED } from './step-stage.ts'

const B = 'b.example'

describe('EDUs after three time-outs', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] })])
  })
  afterEach(() => world.pool.end())

  it('go again where they are durable, and not where they are not', async () => {
    await world.append(eduRequest([event(), event(), toDevice('m1', [B]), receipts(['a'])]))
    // As long as a request may take.
    await world.rows(`update destinations set timeout_ms = 300000 where name = '${B}'`)
    const sent: { txnId: string; types: string[] }[] = []
    let answers = false
    const it = await holdInTest(world.pool, B, {
      ...reachable(({ txnId, body }) => {
        const { edus = [] } = JSON.parse(body.toString()) as { edus?: { edu_type: string }[] }
        sent.push({ txnId, types: edus.map((edu) => edu.edu_type) })
        return Promise.resolve(answers ? ANSWERED : UNANSWERED)
      }),
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 86_400_000 },
    })
    // A look that comes within the same millisecond finds that it is not due yet.
    for (let looks = 0; looks < 100 && sent.length < 3; looks += 1) await it.step()
    answers = true
    await it.toTheEnd()
    const first = sent[0]?.txnId
    expect(sent.slice(0, 3).map(({ txnId }) => txnId)).to.deep.equal([first, first, first])
    expect(sent[0]?.types).to.deep.equal(['m.direct_to_device', 'm.receipt'])
    expect(sent.slice(3).flatMap(({ types }) => types)).to.deep.equal(['m.direct_to_device'])
  })
})
