/**
 * B is away while much is said on A, and comes back (contract 5.4, 5.6).
 *
 * Alice is on homeserver A, for which limpet sends; Bob is on B. They share three rooms: a quiet one, in which one
 * sticky event is the first and only thing that happens while B is away, and two in which much is said.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { arrivedIds, sendsFrom, txnIdOf } from './support/arrivals.ts'
import { type Client, registerClient } from './support/client.ts'
import { say } from './support/homeservers.ts'
import { eventsHeld, PATIENCE_MS, stickyHeld } from './support/inside.ts'
import type { Limpet } from './support/limpet.ts'
import { destinationOf, eventIn, fateOf } from './support/records.ts'
import { makeStage } from './support/stage.ts'
import { oneStory } from './support/story.ts'
import type { Synapse } from './support/synapse.ts'

const STICKY_MS = 900_000
/** Over before B is back: the story waits for that. */
const SHORT_MS = 2_000
const MESSAGES = 30
const THRESHOLD = 20

for (const rough of [false, true]) {
  describe(`B is away, much is said on A${rough ? ', limpet is killed twice and A restarted' : ''}`, function () {
    oneStory(this)
    const stage = makeStage()
    let a: Synapse
    let b: Synapse
    let alice: Client
    let bob: Client
    let quiet: string
    let busy: string
    let loud: string
    let limpet: Limpet
    /** Sticky for long, in the order in which Alice sent them. */
    const sticky: { room: string; eventId: string }[] = []
    const saidInBusy: string[] = []
    let lapsed: string
    let newest: { room: string; eventId: string }[]

    before(async function () {
      ;({ a, b } = await stage.open(this))
      alice = await registerClient(a, 'alice')
      bob = await registerClient(b, 'bob')
      const catch_up = { threshold_pdus: THRESHOLD, min_age_ms: 500 }
      limpet = await stage.limpet({ synapse: a, settings: { catch_up } })
      const rooms = await Promise.all([alice.createRoom(), alice.createRoom(), alice.createRoom()])
      ;[quiet, busy, loud] = rooms
      for (const room of rooms) {
        await bob.join(room, a)
        await bob.see(room, await alice.send(room, 'before'))
      }
    })
    after(async function () {
      await stage.clear(this)
    })

    it('B is stopped; the first thing that Alice says is sticky, in the quiet room; then she says much', async () => {
      await b.stop()
      await sayStickily(quiet)
      await sayMuch(loud, MESSAGES / 2, async (i) => {
        if (i === 3) lapsed = await alice.send(loud, 'sticky for a moment', { stickyMs: SHORT_MS })
      })
      if (rough) await limpet.kill9()
      saidInBusy.push(...(await sayMuch(busy, MESSAGES, (i) => (i % 10 === 5 ? sayStickily(busy) : null))))
      if (rough) {
        await a.kill9()
        await a.restart()
        await limpet.start()
      }
      const lastInLoud = (await sayMuch(loud, MESSAGES / 2)).at(-1) ?? ''
      newest = [
        { room: busy, eventId: saidInBusy.at(-1) ?? '' },
        { room: loud, eventId: lastInLoud },
      ]
      expect(sticky).to.have.length(4)
      await until(async () => (await eventIn(limpet, lastInLoud)) !== null, {
        withinMs: PATIENCE_MS,
        what: 'limpet to have the last message',
      })
    })

    it('that is too much to be sent whole, and one of the sticky events lapses meanwhile', async () => {
      // Whether that makes a gap is decided when B is reached again.
      await until(async () => (await destinationOf(limpet, b)).pending_pdus > THRESHOLD, {
        withinMs: PATIENCE_MS,
        what: 'more to wait for B than is sent whole',
      })
      expect(arrivedIds(a, b, { roomId: quiet })).not.to.include(sticky[0]?.eventId)
      const until_ = (await eventIn(limpet, lapsed))?.sticky_until ?? Infinity
      await until(() => Date.now() > until_, { withinMs: PATIENCE_MS, what: 'the short one to lapse' })
    })

    it('B starts: all that is still sticky is in Bob’s /sync, as sticky, the quiet room’s too', async () => {
      const firstAnswer = b.gate.holdAnswer(
        (knock) => knock.origin === a.serverName && /\/send\//.test(knock.path),
      )
      if (!rough) firstAnswer.release()
      await b.restart()
      if (rough) {
        // B has taken the first transaction; limpet dies before it hears so.
        await until(firstAnswer.held, { withinMs: PATIENCE_MS, what: 'B to be sent something' })
        await limpet.kill9()
        firstAnswer.release()
        await limpet.start()
      }
      for (const { room, eventId } of sticky) {
        const seen = await bob.see(room, eventId)
        expect(seen.msc4354_sticky).to.deep.equal({ duration_ms: STICKY_MS })
      }
    })

    it('they came in the order in which Alice sent them, the quiet room’s first', () => {
      const came = [quiet, busy].flatMap((roomId) => arrivedIds(a, b, { roomId }))
      const stickyOnes = sticky.map(({ eventId }) => eventId)
      expect(came.filter((eventId) => stickyOnes.includes(eventId))).to.deep.equal(stickyOnes)
    })

    it('the newest of each room is in Bob’s timeline, and the timeline goes on, in both directions', async () => {
      for (const { room, eventId } of newest) await bob.see(room, eventId)
      for (const room of [quiet, busy, loud]) {
        await bob.see(room, await alice.send(room, 'and on'))
        await alice.see(room, await bob.send(room, 'and back'))
      }
      await until(async () => (await destinationOf(limpet, b)).state === 'idle', {
        withinMs: PATIENCE_MS,
        what: 'B to be owed nothing',
      })
    })

    it('what lapsed was not replayed: limpet says so, and B’s database does not have it', async () => {
      expect((await fateOf(limpet, lapsed, b))?.outcome).to.equal('lapsed')
      expect(arrivedIds(a, b, { roomId: loud })).not.to.include(lapsed)
      expect([...(await stickyHeld(b, [lapsed]))]).to.deep.equal([])
      expect([...(await eventsHeld(b, [lapsed]))]).to.deep.equal([])
      // The same look finds the others.
      expect(
        (
          await stickyHeld(
            b,
            sticky.map(({ eventId }) => eventId),
          )
        ).size,
      ).to.equal(sticky.length)
    })

    it('what catch-up passed by is there for Bob when he pages back', async () => {
      const outcomes: Record<string, number> = {}
      for (const eventId of saidInBusy) {
        const fate = await fateOf(limpet, eventId, b)
        const outcome = fate?.outcome ?? 'unknown'
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      }
      say(`of ${saidInBusy.length} messages in the busy room: ${JSON.stringify(outcomes)}`)
      expect(outcomes['skipped']).to.be.above(0)
      const read = (await bob.readBack(busy)).map(({ event_id }) => event_id)
      expect(saidInBusy.filter((eventId) => !read.includes(eventId))).to.deep.equal([])
    })

    if (rough) {
      it('the transaction whose answer nobody heard came again under its id, with the same bytes', () => {
        const bodies = new Map<string, string[]>()
        for (const knock of sendsFrom(a, b)) {
          const id = txnIdOf(knock)
          bodies.set(id, [...(bodies.get(id) ?? []), knock.body])
        }
        const repeated = [...bodies.values()].filter(({ length }) => length > 1)
        expect(repeated).to.have.length.above(0)
        for (const [first, ...others] of repeated) for (const other of others) expect(other).to.equal(first)
      })
    }

    async function sayStickily(room: string): Promise<void> {
      const eventId = await alice.send(room, 'sticky for long', { stickyMs: STICKY_MS })
      sticky.push({ room, eventId })
    }

    async function sayMuch(
      room: string,
      count: number,
      before?: (i: number) => Promise<void> | null,
    ): Promise<string[]> {
      const said: string[] = []
      for (let i = 0; i < count; i++) {
        await before?.(i)
        said.push(await alice.send(room, `message ${i}`))
      }
      return said
    }
  })
}
