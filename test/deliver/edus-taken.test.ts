/** EDUs and what takes them away: a purge of their room, an operator's skip, an unanswered transaction that ends. */
import { expect } from 'chai'
import type { Log } from '../../src/observe/log.ts'
import { NOTHING_LEARNED } from '../../src/store/isolation.ts'
import { wishToSkip } from '../../src/store/delivery/skips.ts'
import {
  eduRequest,
  makeEduWorld,
  other,
  receipts,
  toDevice,
  typing,
  type EduWorld,
} from '../ingest/edu-world.ts'
import { event, purge, ROOM, servers } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest, UNANSWERED } from './step-stage.ts'

const B = 'b.example'
const C = 'c.example'
const OTHER = '!other:home.example'

interface Body {
  pdus: unknown[]
  edus?: { edu_type: string; content: Record<string, unknown> }[]
}

describe('EDUs that are taken away', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] }), servers({ add: [B, C] }, OTHER)])
  })
  afterEach(() => world.pool.end())

  const give = (items: readonly object[]) => world.append(eduRequest(items))
  async function hold(name = B, onError: (text: string) => void = () => undefined) {
    const bodies: { txnId: string; text: string }[] = []
    let answer = ANSWERED
    const stage = await holdInTest(world.pool, name, {
      ...reachable(({ txnId, body }) => {
        bodies.push({ txnId, text: body.toString() })
        return Promise.resolve(answer)
      }),
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 1 },
      log: {
        ...{ info: () => undefined, warn: () => undefined, debug: () => undefined },
        error: (_: object, text: string) => onError(text),
      } as unknown as Log,
    })
    return {
      ...stage,
      bodies,
      answers: (with_: typeof answer) => (answer = with_),
      /** What each was of, in order. */
      said: () =>
        bodies.map(({ text }) => {
          const { pdus, edus = [] } = JSON.parse(text) as Body
          const ofEdu = ({ edu_type, content }: { edu_type: string; content: Record<string, unknown> }) =>
            edu_type === 'm.direct_to_device'
              ? String(content['message_id'])
              : edu_type.replace(/^(m|org\.example)\./, '')
          return [...pdus.map(() => 'pdu'), ...edus.map(ofEdu)]
        }),
    }
  }
  const isVoid = async () =>
    (await world.rows<{ void: boolean }>('select void from open_transactions')).map((row) => row.void)

  describe('by a purge', () => {
    it('end the transaction that holds them, at once; what else it held is sent anew, but nothing that was not durable', async () => {
      await give([typing(), toDevice('m1', [B]), receipts(['alice'])])
      const it = await hold()
      it.answers(UNANSWERED)
      await it.step()
      await world.take([purge()])
      expect(await isVoid()).to.deep.equal([true])
      it.answers(ANSWERED)
      await it.toTheEnd()
      expect(it.said()).to.deep.equal([['m1', 'typing', 'receipt'], ['m1']])
      expect(it.bodies[1]?.txnId).not.to.equal(it.bodies[0]?.txnId)
    })

    it('leave others aside: a void transaction does not send a second time what is not durable, of another room too', async () => {
      await give([typing(), other({ rooms: [OTHER] })])
      const it = await hold()
      it.answers(UNANSWERED)
      await it.step()
      await world.take([purge()])
      await give([other({ rooms: [OTHER], content: { later: 1 } }), toDevice('m1', [B])])
      it.answers(ANSWERED)
      await it.toTheEnd()
      expect(it.said()).to.deep.equal([
        ['typing', 'thing'],
        ['m1', 'thing'],
      ])
      expect(it.bodies[1]?.text).to.include('later')
    })

    it('do not touch a transaction that holds nothing that goes', async () => {
      await give([toDevice('m1', [B]), other({ rooms: [ROOM, OTHER] })])
      const it = await hold()
      it.answers(UNANSWERED)
      await it.step()
      await world.take([purge()])
      expect(await isVoid()).to.deep.equal([false])
      it.answers(ANSWERED)
      await it.toTheEnd()
      expect(it.said()).to.deep.equal([
        ['m1', 'thing'],
        ['m1', 'thing'],
      ])
      expect(it.bodies[1]).to.deep.equal(it.bodies[0])
    })

    it('that are durable are owed to nobody any more by that room: counted, and not tried again where they were refused', async () => {
      const durable = (...rooms: string[]) => other({ rooms, durable: true })
      await world.take([servers({ add: ['only.example'] })])
      await give([durable(ROOM)])
      const isolation = JSON.stringify({ ...NOTHING_LEARNED, edusApart: true })
      await world.rows(
        'update destinations set durable_pos = (select max(pos) from edus), isolation = $1 where name = $2',
        [isolation, B],
      )
      await world.rows(
        'insert into edus_apart (destination, pos, since, sure, next_at) select d.id, e.pos, 5, true, 0 from destinations d, edus e where d.name = $1',
        [B],
      )
      await give([durable(ROOM), durable(ROOM, OTHER), durable(OTHER), toDevice('m1', [B])])
      await world.take([purge()])
      // Of one what was refused and the next one; of the other, who is in no other room, all three.
      expect(await world.value(`select value::int from counters where name = 'given_up:purge'`)).to.equal(5)
      expect(await world.rows('select from edus_apart')).to.have.length(0)
      const it = await hold()
      await it.toTheEnd()
      expect(it.said()).to.deep.equal([['thing', 'thing', 'm1']])
    })

    it('go to nobody who had them only by that room, and to the servers of the others', async () => {
      await world.take([servers({ add: ['only.example'] })])
      await give([
        typing(),
        other({ rooms: [ROOM, OTHER] }),
        other({ rooms: [ROOM, OTHER], durable: true }),
        purge(),
      ])
      expect(await world.edus()).to.have.length(2)
      const only = await hold('only.example')
      await only.toTheEnd()
      expect(only.said()).to.deep.equal([])
      await world.rows('delete from workers')
      const c = await hold(C)
      await c.toTheEnd()
      expect(c.said()).to.deep.equal([['thing', 'thing']])
    })
  })

  it('by a skip: what came up to then is given up in both lanes, what came after it goes', async () => {
    await give([event(), toDevice('m1', [B]), receipts(['alice'])])
    const it = await hold()
    it.answers(UNANSWERED)
    await it.step()
    await wishToSkip(world.pool, { name: B, who: 'alice' })
    await give([toDevice('m2', [B]), other({ rooms: [OTHER] })])
    it.answers(ANSWERED)
    await it.toTheEnd()
    expect(it.said()).to.deep.equal([
      ['pdu', 'm1', 'receipt'],
      ['m2', 'thing'],
    ])
  })

  it('in a form that only a newer release knows: the transaction ends, and what it held is sent anew, but nothing that was not durable', async () => {
    await give([event(), toDevice('m1', [B]), typing()])
    const errors: string[] = []
    const it = await hold(B, (text) => errors.push(text))
    it.answers(UNANSWERED)
    await it.step()
    await world.rows('update open_transactions set edu_form = 2')
    it.answers(ANSWERED)
    await it.toTheEnd()
    expect(it.said()).to.deep.equal([
      ['pdu', 'm1', 'typing'],
      ['pdu', 'm1'],
    ])
    expect(it.bodies[1]?.txnId).not.to.equal(it.bodies[0]?.txnId)
    expect(errors).to.deep.equal([
      'the bytes of an unanswered transaction could not be restored; a new one is made',
    ])
  })

  it('by their time while they are unanswered: not at all, the same bytes go again', async () => {
    await give([toDevice('m1', [B], { ttl_ms: 60_000 }), typing()])
    const it = await hold()
    it.answers(UNANSWERED)
    await it.step()
    await world.rows(`insert into settings (key, value) values ('clock_offset_ms', '1800000')`)
    it.answers(ANSWERED)
    await it.step()
    expect(it.bodies).to.have.length(2)
    expect(it.bodies[1]).to.deep.equal(it.bodies[0])
  })
})
