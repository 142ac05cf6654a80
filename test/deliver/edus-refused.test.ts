/** A destination that refuses an EDU (contract 5.9): the real look on a real database, step by step. */
import { expect } from 'chai'
import {
  eduRequest,
  makeEduWorld,
  receipts,
  toDevice,
  type EduWorld,
  type GivenEdu,
} from '../ingest/edu-world.ts'
import { event, ROOM, servers } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { letTimePass } from '../support/time-passes.ts'
import type { SendResult } from '../../src/wire/send-result.ts'
import { giveUpNow, parseQuarantineId, tryNow } from '../../src/store/delivery/quarantine-acts.ts'
import { NOTHING_LEARNED } from '../../src/store/isolation.ts'
import { findDestination } from '../../src/store/views/destination-row.ts'
import { countQuarantine, listQuarantine } from '../../src/store/views/quarantine.ts'
import { ANSWERED, holdInTest, UNANSWERED } from './step-stage.ts'

const B = 'b.example'
const refusal = (status: number): SendResult => ({
  ...{ kind: 'failed', stage: 'http', handed: true, durationMs: 1, status, whole: true },
  ...{ message: `refused with ${status}`, retryAfterMs: null, errcode: null },
})

interface Body {
  pdus: { type: string }[]
  edus?: { edu_type: string; content: { message_id?: string } }[]
}

describe('EDUs that a destination refuses', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] })])
  })
  afterEach(() => world.pool.end())

  /** `refuses`: an answer to these, or null: 200. */
  async function hold(refuses: (body: Body) => number | null) {
    const bodies: Body[] = []
    const came: Body[] = []
    const stage = await holdInTest(world.pool, B, {
      ...reachable(({ body }) => {
        const said = JSON.parse(body.toString()) as Body
        bodies.push(said)
        const status = refuses(said)
        if (status === null) came.push(said)
        return Promise.resolve(status === null ? ANSWERED : refusal(status))
      }),
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 86_400_000 },
    })
    return {
      ...stage,
      bodies,
      /** Until it is let go with nothing due. */
      async run(steps = 60) {
        for (let i = 0; i < steps; i += 1) {
          const looked = await stage.step()
          if (looked.kind !== 'let go') continue
          if (looked.lookAt === null || looked.lookAt > Date.now() + 5_000) return
          // It is a second later.
          await world.pool.query('update destinations set ephemeral_at = ephemeral_at - 1000')
        }
      },
      /** Those that were answered 200. */
      came: () => came,
    }
  }
  const apart = () =>
    world.rows<{ pos: number; sure: boolean; tries: number }>(
      'select pos::int, sure, tries from edus_apart order by pos',
    )
  const isEmpty = ({ pdus, edus = [] }: Body) => pdus.length + edus.length === 0
  const ids = (bodies: Body[]) =>
    bodies.flatMap(({ edus = [] }) => edus.flatMap(({ content }) => content.message_id ?? []))
  const holds = (id: string) => (body: Body) => (ids([body]).includes(id) ? 500 : null)
  const messages = (from: number, to: number): GivenEdu[] =>
    Array.from({ length: to - from + 1 }, (_, i) => toDevice(`m${from + i}`, [B]))

  it('one durable among many is found in few requests and set aside; all others arrive in order, once', async () => {
    await world.append(eduRequest([event(), ...messages(1, 40), event()]))
    const it = await hold(holds('m17'))
    await it.run()
    expect(ids(it.came())).to.deep.equal(
      messages(1, 40)
        .map((_, i) => `m${i + 1}`)
        .filter((id) => id !== 'm17'),
    )
    expect(it.came().flatMap(({ pdus }) => pdus)).to.have.length(2)
    expect((await apart()).map(({ sure }) => sure)).to.deep.equal([true])
    expect(it.bodies.length, 'requests').to.be.lessThan(35)
  })

  it('one that is not durable is dropped, and counted', async () => {
    await world.append(eduRequest([event(), ...messages(1, 3), receipts(['a']), typingLike()]))
    const it = await hold((body) =>
      body.edus?.some(({ edu_type }) => edu_type === 'm.receipt') === true ? 500 : null,
    )
    await it.run()
    expect(ids(it.came())).to.deep.equal(['m1', 'm2', 'm3'])
    expect(await apart()).to.deep.equal([])
    const [row] = await world.rows<{ value: number }>(
      `select value::int from counters where name = 'given_up:edu_refused'`,
    )
    expect(row?.value).to.equal(1)
    const types = it.came().flatMap(({ edus = [] }) => edus.map(({ edu_type }) => edu_type))
    expect(types).to.include('org.example.thing')
  })
  const typingLike = () => ({ edu_type: 'org.example.thing', content: { a: 1 }, rooms: [ROOM] })

  it('concludes nothing of a server that answers 200 to empty ones alone', async () => {
    await world.append(eduRequest([event(), ...messages(1, 6), receipts(['a'])]))
    const it = await hold((body) => (isEmpty(body) ? null : 500))
    await it.run(80)
    expect((await apart()).filter(({ sure }) => sure)).to.deep.equal([])
    expect((await apart()).length).to.be.lessThan(3)
    expect((await world.rows(`select from counters where name like 'given_up%'`)).length).to.equal(0)
  })

  it('what is set aside goes again when its time has come, and is done when it is taken', async () => {
    await world.append(eduRequest([event(), ...messages(1, 4)]))
    let broken = true
    const it = await hold((body) => (broken ? holds('m2')(body) : null))
    await it.run()
    expect(await apart()).to.have.length(1)
    await world.pool.query('update edus_apart set next_at = 0')
    await it.run()
    expect((await apart())[0]?.tries, 'refused again').to.equal(1)
    broken = false
    await world.pool.query('update edus_apart set next_at = 0')
    await it.run()
    expect(await apart()).to.deep.equal([])
    expect(ids(it.came())).to.deep.equal(['m1', 'm3', 'm4', 'm2'])
  })

  it('one that nothing else can show to be at fault goes out of the way, and is believed when something else came', async () => {
    await world.append(eduRequest([...messages(1, 3)]))
    const it = await hold(holds('m1'))
    await it.run(80)
    expect(ids(it.came())).to.deep.equal(['m2', 'm3'])
    expect(await apart()).to.have.length(1)
    expect((await apart())[0]?.sure).to.equal(true)
  })

  it('one that is too large alone is set aside, and all others arrive under the limit that it teaches', async () => {
    const large = toDevice('m2', [B], {
      content: {
        ...{ sender: '@alice:home.example', type: 'm.room.encrypted', message_id: 'm2' },
        messages: { [`@b:${B}`]: { DEVICE: { text: 'x'.repeat(60_000) } } },
      },
    })
    await world.append(eduRequest([event(), ...messages(1, 1), large, ...messages(3, 9), event()]))
    const it = await hold((body) => (JSON.stringify(body).length > 30_000 ? 413 : null))
    await it.run(120)
    expect(ids(it.came())).to.deep.equal(['m1', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8', 'm9'])
    expect(it.came().flatMap(({ pdus }) => pdus)).to.have.length(2)
    expect((await apart()).map(({ sure }) => sure)).to.deep.equal([true])
  })

  it('a gateway is believed only the third time, where nothing else was there too', async () => {
    await world.append(eduRequest(messages(1, 1)))
    const it = await hold(holdsAs('m1', 502))
    await it.run(20)
    await world.append(eduRequest([event()]))
    await it.run(60)
    expect((await apart())[0]?.sure).to.equal(true)
    expect(it.bodies.filter((body) => ids([body]).join() === 'm1').length).to.be.greaterThan(8)
  })
  const holdsAs = (id: string, status: number) => (body: Body) => (ids([body]).includes(id) ? status : null)

  it('a gateway is believed only the third time', async () => {
    await world.append(eduRequest([event(), ...messages(1, 2)]))
    const it = await hold((body) => (ids([body]).includes('m1') ? 502 : null))
    await it.run(120)
    const alone = it.bodies.filter((body) => ids([body]).join() === 'm1')
    expect(alone.length).to.be.greaterThan(6)
    expect((await apart())[0]?.sure).to.equal(true)
  })
})

describe('an EDU that is set aside', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] })])
    await world.append(eduRequest([toDevice('m1', [B])]))
    await world.pool.query(
      `insert into edus_apart (destination, pos, since, sure, next_at, status, message) select 1, pos, 5, true, now_ms() + 3600000, 500, 'no' from edus`,
    )
    await world.pool.query(
      `update destinations set durable_pos = 2, ephemeral_pos = 2, position = 2, isolation = $1`,
      [JSON.stringify({ ...NOTHING_LEARNED, edusApart: true })],
    )
  })
  afterEach(() => world.pool.end())
  const acts = { name: B, id: 'edu-2', named: parseQuarantineId('edu-2')!, who: 'op' }
  const rows = async () => (await world.pool.query('select from edus_apart')).rowCount

  it('is listed, counted, tried when an operator wants it, and then gone', async () => {
    const page = { orderBy: 'since' as const, dir: 'f' as const, limit: 10, from: 0 }
    const { rows: listed, total } = await listQuarantine(world.pool, 1, page)
    expect(total).to.equal(1)
    expect(listed[0]).to.include({ id: 'edu-2', kind: 'edu', edu_type: 'm.direct_to_device', status: 500 })
    expect((await countQuarantine(world.pool)).edus).to.equal(1)
    expect((await findDestination(world.pool, B))?.edus_aside).to.equal(1)
    const stage = await holdInTest(world.pool, B)
    await stage.toTheEnd()
    expect(stage.sent).to.deep.equal([])
    expect((await tryNow(world.pool, acts)).kind).to.equal('done')
    await stage.toTheEnd()
    expect(stage.sent).to.have.length(1)
    expect(await rows()).to.equal(0)
  })

  it('is given up by an operator, also where it is in an unanswered transaction', async () => {
    const stage = await holdInTest(
      world.pool,
      B,
      reachable(() => Promise.resolve(UNANSWERED)),
    )
    await tryNow(world.pool, acts)
    await stage.step()
    expect((await giveUpNow(world.pool, acts)).kind).to.equal('done')
    expect(await rows()).to.equal(0)
    expect(await world.rows('select void from open_transactions')).to.deep.equal([{ void: true }])
  })

  it('waits longer after each refusal, however many others have become due since it was sent', async () => {
    let answer = UNANSWERED
    const stage = await holdInTest(world.pool, B, {
      ...reachable(() => Promise.resolve(answer)),
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 86_400_000 },
    })
    await world.pool.query('update edus_apart set next_at = 1, tries = 5')
    await stage.step()
    await world.pool.query(
      `insert into edus_apart (destination, pos, since, sure, next_at) select 1, 1000 + n, 5, true, 0 from generate_series(1, 120) n`,
    )
    answer = refusal(500)
    // A look within the same millisecond finds that it is not due yet.
    for (let looks = 0; looks < 50; looks += 1) {
      await stage.step()
      if ((await world.rows('select from open_transactions')).length === 0) break
    }
    const [row] = await world.rows<{ tries: number; hours: number }>(
      'select tries, round((next_at - now_ms()) / 3600000.0)::int as hours from edus_apart where pos = 2',
    )
    expect(row).to.deep.equal({ tries: 6, hours: 16 })
  })

  it('is tried where its time is impossibly far, as a clock that was wrong has written it', async () => {
    await world.pool.query('update edus_apart set next_at = now_ms() + 40 * 86400000::bigint')
    const stage = await holdInTest(world.pool, B)
    await stage.toTheEnd()
    expect(stage.sent).to.have.length(1)
  })

  it('does not go where it became too old after it was looked at', async () => {
    await world.pool.query('update edus set received_ts = now_ms() - $1::bigint', [30 * 86_400_000 - 60_000])
    await world.pool.query('update edus_apart set next_at = 0')
    const stage = await holdInTest(world.pool, B)
    stage.after('read EDUs that are apart', () => letTimePass(world.pool, 120_000))
    await stage.toTheEnd()
    expect(stage.sent).to.deep.equal([])
    expect(await rows()).to.equal(0)
  })

  it('is given up when it is too old', async () => {
    await world.pool.query('update edus set received_ts = 0')
    const stage = await holdInTest(world.pool, B)
    await stage.toTheEnd()
    expect(stage.sent).to.deep.equal([])
    expect(await rows()).to.equal(0)
    const [counter] = await world.rows<{ value: number }>(
      `select value::int from counters where name = 'given_up:set_aside'`,
    )
    expect(counter?.value).to.equal(1)
  })
})
