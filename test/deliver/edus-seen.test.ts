/** What is seen of EDUs while they are sent: what is counted of them, and what an attempt says. */
import { expect } from 'chai'
import type { CountedAttempt } from '../../src/observe/count-attempt.ts'
import {
  eduRequest,
  makeEduWorld,
  other,
  receipts,
  toDevice,
  typing,
  type EduWorld,
} from '../ingest/edu-world.ts'
import { event, servers } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest, UNANSWERED } from './step-stage.ts'

const B = 'b.example'

describe('EDUs that are sent', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] })])
  })
  afterEach(() => world.pool.end())

  const attempts = () =>
    world.rows<{ outcome: string; pdus: number; edus: number }>(
      'select outcome, pdus, edus from attempts order by seq',
    )

  it('are counted by type as packed, at the first request and when it is repeated', async () => {
    const counted: CountedAttempt[] = []
    let answer = UNANSWERED
    const it = await holdInTest(world.pool, B, {
      ...reachable(() => Promise.resolve(answer)),
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 1 },
      onAttempt: (attempt) => counted.push(attempt),
    })
    await world.append(
      eduRequest([
        ...[event(), typing(), receipts(['a', 'b']), other({ destinations: [B] })],
        ...[toDevice('m1', [B]), toDevice('m2', [B])],
      ]),
    )
    await it.step()
    answer = ANSWERED
    await it.toTheEnd()
    const types = {
      ...{ 'm.direct_to_device': 2, 'm.typing': 1, 'org.example.thing': 1 },
      // Of two users.
      'm.receipt': 1,
    }
    expect(
      counted.map(({ outcome, eduTypes }) => [outcome, Object.fromEntries(eduTypes ?? [])]),
    ).to.deep.equal([
      ['failed', types],
      ['answered', types],
    ])
    expect(await attempts()).to.deep.equal([
      { outcome: 'failed', pdus: 1, edus: 5 },
      { outcome: 'answered', pdus: 1, edus: 5 },
    ])
  })

  it('are passed over, and not sent later, where their kind is off; what is on goes', async () => {
    const off = new Set(['m.typing'])
    const bodies: string[] = []
    const it = await holdInTest(world.pool, B, {
      ...reachable(({ body }) => {
        bodies.push(body.toString())
        return Promise.resolve(ANSWERED)
      }),
      edus: { maxEdus: 100, off, durableMs: 30 * 86_400_000 },
    })
    const types = () =>
      bodies.map((body) =>
        (JSON.parse(body) as { edus: { edu_type: string }[] }).edus.map(({ edu_type }) => edu_type),
      )
    await world.append(eduRequest([typing()]))
    await it.toTheEnd()
    expect(bodies, 'none at all').to.deep.equal([])
    await world.append(eduRequest([typing(), receipts(['a']), toDevice('m1', [B])]))
    await it.toTheEnd()
    off.clear()
    await it.toTheEnd()
    expect(types(), 'those that are on').to.deep.equal([['m.direct_to_device', 'm.receipt']])
    await world.append(eduRequest([typing()]))
    await it.toTheEnd()
    expect(types().at(-1)).to.deep.equal(['m.typing'])
  })
})
