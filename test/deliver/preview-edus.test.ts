/** A preview of a transaction with EDUs is what is sent then. */
import { expect } from 'chai'
import { previewOf, type PreviewNeeds } from '../../src/deliver/preview.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { NOTHING_LEARNED } from '../../src/store/isolation.ts'
import type { SendResult } from '../../src/wire/send-result.ts'
import {
  eduRequest,
  makeEduWorld,
  other,
  receipts,
  toDevice,
  typing,
  type EduWorld,
} from '../ingest/edu-world.ts'
import { toDeviceContent } from '../ingest/edu/edu-item.ts'
import { event, servers } from '../ingest/ingest-world.ts'
import { reachable } from '../support/reachable.ts'
import { ANSWERED, holdInTest, UNANSWERED } from './step-stage.ts'

const B = 'b.example'
const REFUSED: SendResult = {
  ...{ kind: 'failed', stage: 'http', handed: true, durationMs: 1, status: 500, whole: true },
  ...{ message: 'no', retryAfterMs: null, errcode: null },
}
const SMALL = { maxEdus: 3, off: new Set<string>(), durableMs: 30 * 86_400_000 }

describe('a preview with EDUs', () => {
  let world: EduWorld
  beforeEach(async () => {
    world = await makeEduWorld({})
    await world.take([servers({ add: [B] })])
  })
  afterEach(() => world.pool.end())

  async function hold(more: Parameters<typeof holdInTest>[2] = {}) {
    const bodies: string[] = []
    let answer = ANSWERED
    let refused: string | null = null
    const stage = await holdInTest(world.pool, B, {
      ...reachable(({ body }) => {
        const text = body.toString()
        bodies.push(text)
        return Promise.resolve(refused !== null && text.includes(refused) ? REFUSED : answer)
      }),
      ...more,
    })
    const { edus, deadline, catchUp, maxPdus, maxBodyBytes } = stage.needs
    const needs: PreviewNeeds = {
      ...{ pool: world.pool, clock: systemClock, origin: 'home.example' },
      ...{ edus, deadline, catchUp, maxPdus, maxBodyBytes },
    }
    return {
      ...stage,
      bodies,
      answers: (with_: typeof answer) => (answer = with_),
      /** What holds this text; null: nothing any more. */
      refuses: (text: string | null) => (refused = text),
      preview: async () => (await previewOf(needs, stage.held.destination))!,
    }
  }
  const withoutTs = (body: string | null | undefined) =>
    body?.replace(/"origin_server_ts":\d+,"pdus"/, '"pdus"')

  it('is what a look would send, one transaction after the other', async () => {
    await world.append(
      eduRequest([
        ...[event(), typing(), receipts(['a', 'b']), other({ destinations: [B] })],
        ...['m1', 'm2', 'm3', 'm4'].map((id) => toDevice(id, [B])),
      ]),
    )
    const it = await hold({ edus: SMALL })
    const shown: Awaited<ReturnType<typeof it.preview>>[] = []
    for (let n = 0; n < 6; n += 1) {
      const next = await it.preview()
      if (next.body === null) break
      shown.push(next)
      await it.step()
    }
    expect(shown.map(({ body }) => withoutTs(body))).to.deep.equal(it.bodies.map(withoutTs))
    const [first] = shown
    expect(first).to.include({ txn_id: null, what: 'ordinary' })
    expect(first?.pdus).to.have.length(1)
    expect(first?.edus.slice(0, 2)).to.deep.equal([
      { edu_type: 'm.direct_to_device', position: 7 },
      { edu_type: 'm.direct_to_device', position: 8 },
    ])
    expect(
      shown.flatMap(({ edus }) => edus.map(({ position }) => position)).sort((a, b) => a - b),
    ).to.deep.equal([3, 4, 5, 6, 7, 8, 9, 10])
  })

  it('leaves of a body as much to durable EDUs as a look does, where PDUs would fill it', async () => {
    const large = (id: string) =>
      toDevice(id, [B], { content: { ...toDeviceContent(id), ciphertext: 'x'.repeat(1_500) } })
    await world.append(
      eduRequest([...Array.from({ length: 20 }, () => event()), ...['m1', 'm2', 'm3'].map(large)]),
    )
    const it = await hold({ maxBodyBytes: 7_000, catchUp: { threshold_pdus: 100, min_age_ms: 60_000 } })
    const { body, pdus, edus } = await it.preview()
    expect([pdus.length, edus.length].every((count) => count > 0)).to.equal(true)
    await it.step()
    expect(withoutTs(it.bodies[0])).to.equal(withoutTs(body))
  })

  it('of an unanswered transaction is its very bytes, with what they hold', async () => {
    await world.append(eduRequest([event(), typing(), receipts(['a', 'b']), toDevice('m1', [B])]))
    const it = await hold()
    it.answers(UNANSWERED)
    await it.step()
    const shown = await it.preview()
    expect(shown.body).to.equal(it.bodies[0])
    expect(shown.txn_id).to.be.a('string')
    expect(shown.edus).to.deep.equal([
      { edu_type: 'm.direct_to_device', position: 6 },
      { edu_type: 'm.typing', position: 3 },
      { edu_type: 'm.receipt', position: 4 },
      { edu_type: 'm.receipt', position: 5 },
    ])
  })

  it('of an unanswered transaction in a form that only a newer release knows is what is sent in its place', async () => {
    await world.append(eduRequest([event(), toDevice('m1', [B])]))
    const it = await hold()
    it.answers(UNANSWERED)
    await it.step()
    await world.rows('update open_transactions set edu_form = 2')
    const shown = await it.preview()
    expect(shown).to.include({ txn_id: null, what: 'ordinary' })
    expect([shown.pdus.length, shown.edus]).to.deep.equal([
      1,
      [{ edu_type: 'm.direct_to_device', position: 3 }],
    ])
  })

  it('passes what is off, as a look does, and comes to what is behind it; nothing is moved by it', async () => {
    const many = Array.from({ length: 1_100 }, () => typing())
    await world.append(eduRequest(many.slice(0, 600)))
    await world.append(eduRequest([...many.slice(600), receipts(['a'])]))
    const it = await hold({ edus: { ...SMALL, off: new Set(['m.typing']) } })
    expect((await it.preview()).edus).to.deep.equal([{ edu_type: 'm.receipt', position: 1_102 }])
    expect(await world.rows('select ephemeral_pos::int as at from destinations')).to.deep.equal([{ at: 0 }])
  })

  it('is what a look would send also while one that is refused is searched, is asked about, and is tried again', async () => {
    const messages = Array.from({ length: 9 }, (_, i) => toDevice(`m${i + 1}`, [B]))
    await world.append(eduRequest([event(), ...messages, receipts(['a']), event()]))
    const it = await hold({
      backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 86_400_000 },
    })
    it.refuses('"m4"')
    const seen = new Map<string | null, number>()
    let mostSearched = 0
    const run = async () => {
      for (let n = 0; n < 80; n += 1) {
        const shown = await it.preview()
        const sent = it.bodies.length
        const looked = await it.step()
        if (it.bodies.length > sent) {
          expect(withoutTs(shown.body), `request ${sent}`).to.equal(withoutTs(it.bodies.at(-1)))
          seen.set(shown.what, (seen.get(shown.what) ?? 0) + 1)
          if (shown.what === 'half') {
            expect(shown.edus.length).to.be.within(1, shown.edu_search?.most ?? 0)
            mostSearched = Math.max(mostSearched, shown.edus.length)
          }
        } else if (looked.kind === 'let go' && (looked.lookAt ?? Infinity) > Date.now() + 5_000) return
        else await world.pool.query('update destinations set ephemeral_at = ephemeral_at - 1000')
      }
      throw new Error('it never comes to an end')
    }
    await run()
    expect(await world.rows('select sure from edus_apart')).to.deep.equal([{ sure: true }])
    for (const what of ['ordinary', 'question', 'half']) expect(seen.get(what), what).to.be.greaterThan(0)
    expect(mostSearched).to.be.greaterThan(1)
    expect(await it.preview()).to.include({ body: null })
    await world.pool.query('update edus_apart set next_at = 0')
    await run()
    expect(seen.get('set_aside')).to.equal(1)
    it.refuses(null)
    await world.pool.query('update edus_apart set next_at = 0')
    await run()
    expect(seen.get('set_aside')).to.equal(2)
    expect(await world.rows('select from edus_apart')).to.have.length(0)
  })

  it('of one that was set aside leaves out what is too old, as a look gives that up first', async () => {
    await world.append(eduRequest([toDevice('m1', [B]), toDevice('m2', [B])]))
    await world.pool.query(
      `insert into edus_apart (destination, pos, since, sure, next_at) select 1, pos, 5, true, pos from edus`,
    )
    await world.pool.query(`update edus set received_ts = 0 where who = 'm1'`)
    await world.pool.query(
      'update destinations set durable_pos = 3, ephemeral_pos = 3, position = 3, isolation = $1',
      [JSON.stringify({ ...NOTHING_LEARNED, edusApart: true })],
    )
    const it = await hold()
    const shown = await it.preview()
    expect(shown).to.include({ what: 'set_aside' })
    expect(shown.edus).to.deep.equal([{ edu_type: 'm.direct_to_device', position: 3 }])
    await it.step()
    expect(withoutTs(it.bodies[0])).to.equal(withoutTs(shown.body))
  })

  it('of what comes after a transaction that is void leaves out what is not durable and may have arrived', async () => {
    await world.append(eduRequest([event(), typing(), toDevice('m1', [B])]))
    const it = await hold({ backoff: { first_ms: 0, multiplier: 1, max_ms: 0, jitter: 0, dead_after_ms: 1 } })
    it.answers(UNANSWERED)
    await it.step()
    await world.pool.query('update open_transactions set void = true')
    const shown = await it.preview()
    it.answers(ANSWERED)
    await it.step()
    await it.step()
    expect(it.bodies).to.have.length(2)
    expect(withoutTs(it.bodies[1])).to.equal(withoutTs(shown.body))
  })

  it('of nothing but presence that waits for company is that nothing goes now', async () => {
    const push = [{ user_id: '@alice:home.example', presence: 'online' }]
    await world.append(
      eduRequest([{ edu_type: 'm.presence', content: { push }, rooms: ['!room:home.example'] }]),
    )
    const it = await hold()
    expect(await it.preview()).to.include({ body: null, first: null })
  })
})
