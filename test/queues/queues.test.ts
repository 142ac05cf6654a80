/** What the queues promise, on each backend: no wake is lost, nobody gets two turns at once, nobody starves the others. */
import { expect } from 'chai'
import type { WakeTarget } from '../../queues/jobs.ts'
import { until } from '../support/poll.ts'
import { BACKENDS } from './places.ts'
import { isIdle, makeStage, type Stage } from './stage.ts'

const delivery = (destination: string): WakeTarget => ({ destination, queue: 'delivery' })
const recovery = (destination: string): WakeTarget => ({ destination, queue: 'recovery' })
const once = { again: false }

/** A gate that turns wait at. */
function makeGate() {
  let open: () => void = () => undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, passed }
}

for (const { name, shared } of BACKENDS) {
  describe(`queues on ${name}`, () => {
    let stage: Stage
    beforeEach(async function () {
      stage = await makeStage(await shared(this))
    })
    afterEach(async () => {
      await stage.close()
      await stage.place.remove()
    })

    it('loses no wake and never runs two turns of one destination, with two processes and many wakes', async function () {
      this.timeout(300_000)
      // What the database would say: how far each destination was asked to get, and how far it got.
      const asked = new Map<string, number>()
      const done = new Map<string, number>()
      const active = new Set<string>()
      const doubles: string[] = []
      const turn = async (destination: string) => {
        if (active.has(destination)) doubles.push(destination)
        active.add(destination)
        const upTo = asked.get(destination) ?? 0
        await new Promise((resolve) => setTimeout(resolve, 1 + Math.random() * 8))
        done.set(destination, upTo)
        active.delete(destination)
        return { again: Math.random() < 0.1 }
      }
      await stage.work({ turn })
      await stage.work({ turn })

      const wakes = Array.from({ length: 1500 }, (_, n) => n)
      const some = async () => {
        for (let n = wakes.pop(); n !== undefined; n = wakes.pop()) {
          const destination = `d${Math.floor(Math.random() * 60)}.example`
          asked.set(destination, (asked.get(destination) ?? 0) + 1)
          await stage.wake([delivery(destination)])
        }
      }
      await Promise.all(Array.from({ length: 16 }, some))
      await until(() => isIdle(stage.queues), { withinMs: 120_000, what: 'all jobs to be done' })
      const lost = [...asked].filter(([destination, upTo]) => done.get(destination) !== upTo)
      expect(lost).to.deep.equal([])
      expect(doubles).to.deep.equal([])
    })

    it('does not let a full recovery lane hold up the delivery lane', async () => {
      const gate = makeGate()
      const served: string[] = []
      await stage.work({
        turn: async (destination) => {
          if (destination.startsWith('dead')) await gate.passed
          served.push(destination)
          return once
        },
        concurrency: { delivery: 2, recovery: 2 },
      })
      await stage.wake(Array.from({ length: 20 }, (_, n) => recovery(`dead${n}.example`)))
      await until(async () => (await stage.counts())['recovery']?.['active'] === 2, {
        what: 'dead ones to hold their slots',
      })
      await stage.wake([delivery('alive.example')])
      await until(() => served.includes('alive.example'), { what: 'the living one to be served' })
      expect(served).to.deep.equal(['alive.example'])
      gate.open()
    })

    it('gives the others a turn when one says that more is left', async () => {
      const order: string[] = []
      // All three wait before the first is taken: there is only one slot, and it starts late.
      await stage.wake(['a', 'b', 'c'].map((x) => delivery(`${x}.example`)))
      await stage.work({
        turn: (destination) => {
          order.push(destination.slice(0, 1))
          return Promise.resolve({ again: destination === 'a.example' && order.length < 5 })
        },
        concurrency: { delivery: 1, recovery: 1 },
      })
      await until(() => order.length === 5, { what: 'five turns' })
      expect(order.join('')).to.equal('abcaa')
    })

    it('runs once more for a wake that came while a turn was giving way', async () => {
      const gate = makeGate()
      const turns: number[] = []
      await stage.work({
        turn: async () => {
          turns.push(turns.length)
          if (turns.length === 1) await gate.passed
          return { again: turns.length === 1 }
        },
      })
      await stage.wake([delivery('a.example')])
      await until(() => turns.length === 1, { what: 'the first turn' })
      await stage.wake([delivery('a.example')])
      gate.open()
      await until(() => turns.length === 2 && isIdle(stage.queues), { what: 'the second turn' })
      expect(turns).to.have.length(2)
    })

    it('ends a job whose turn throws, and serves the next wake', async () => {
      let turns = 0
      await stage.work({
        turn: () => {
          turns += 1
          return turns === 1 ? Promise.reject(new Error('a bug')) : Promise.resolve(once)
        },
      })
      await stage.wake([delivery('a.example')])
      await until(() => turns === 1 && isIdle(stage.queues), { what: 'the failed job to be gone' })
      await stage.wake([delivery('a.example')])
      await until(() => turns === 2, { what: 'the next turn' })
    })

    it('serves a new wake after the queue was emptied while jobs waited and were active', async () => {
      const gate = makeGate()
      const started: string[] = []
      await stage.work({
        turn: async (destination) => {
          started.push(destination)
          if (started.length <= 2) await gate.passed
          return once
        },
        concurrency: { delivery: 2, recovery: 2 },
      })
      const names = ['a', 'b', 'c', 'd'].map((x) => `${x}.example`)
      await stage.wake(names.map(delivery))
      await until(() => started.length === 2, { what: 'two of four to be active' })
      await stage.place.empty()
      await stage.wake(names.map(delivery))
      gate.open()
      // The two that were active lost their jobs under them; all four have a new one.
      await until(() => started.length === 6, { what: 'a turn for each after the queue was emptied' })
      expect(started.slice(2).sort()).to.deep.equal(names)
    })

    it('costs two fanout jobs for a thousand nudges at once, and none for a stream that was looked at since', async () => {
      let looks = 0
      const gate = makeGate()
      const nudge = () =>
        until(() => stage.queues.nudgeFanout().then(() => true), { what: 'a nudge to be taken' })
      await stage.work({
        turn: () => Promise.resolve(once),
        fanout: async () => {
          looks += 1
          if (looks === 1) await gate.passed
        },
      })
      await nudge()
      await until(() => looks === 1, { what: 'the first look' })
      await Promise.all(Array.from({ length: 1000 }, nudge))
      gate.open()
      await until(async () => looks === 2 && (await isIdle(stage.queues)), { what: 'the second look' })
      expect(looks).to.equal(2)
    })

    it('serves a destination whose waiting jobs were lost once it was told to forget them', async () => {
      await stage.wake([delivery('a.example'), recovery('a.example')])
      await stage.place.loseWaiting()
      await stage.wake([delivery('a.example'), recovery('a.example')])
      await until(() => stage.queues.forget('a.example').then(() => true), { what: 'it to be forgotten' })
      await stage.wake([delivery('a.example'), recovery('a.example')])
      const turns: string[] = []
      await stage.work({
        turn: (destination) => {
          turns.push(destination)
          return Promise.resolve(once)
        },
      })
      await until(() => turns.length >= 2, { what: 'a turn in each lane' })
    })

    it('counts the jobs by queue and state', async () => {
      await stage.wake([
        delivery('a.example'),
        delivery('b.example'),
        delivery('a.example'),
        recovery('c.example'),
      ])
      await until(() => stage.queues.nudgeFanout().then(() => true), { what: 'a nudge to be taken' })
      expect(await stage.counts()).to.deep.equal({
        fanout: { waiting: 1, active: 0 },
        delivery: { waiting: 2, active: 0 },
        recovery: { waiting: 1, active: 0 },
      })
    })

    it('lets active turns end when it closes, takes no new ones, and aborts what outlasts the grace', async () => {
      const gate = makeGate()
      const ended: string[] = []
      const workers = await stage.work({
        turn: async (destination, signal) => {
          if (destination === 'quick.example') await gate.passed
          else await new Promise((resolve) => signal.addEventListener('abort', resolve))
          ended.push(`${destination} ${signal.aborted ? 'aborted' : 'in peace'}`)
          return once
        },
        concurrency: { delivery: 2, recovery: 2 },
      })
      await stage.wake([delivery('quick.example'), delivery('slow.example')])
      await until(async () => (await stage.counts())['delivery']?.['active'] === 2, {
        what: 'both turns',
      })
      const closing = workers.close(500)
      // Before anything is waited for: the quick one has as much of the grace as there is.
      gate.open()
      await stage.wake([delivery('late.example')])
      await closing
      expect(ended).to.deep.equal(['quick.example in peace', 'slow.example aborted'])
      expect((await stage.counts())['delivery']).to.deep.equal({ waiting: 1, active: 0 })
    })

    it('wakes five thousand destinations in one call', async () => {
      await stage.wake(Array.from({ length: 5000 }, (_, n) => delivery(`d${n}.example`)))
      expect((await stage.counts())['delivery']?.['waiting']).to.equal(5000)
    })
  })
}
