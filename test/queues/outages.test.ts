/** What a server or a worker that goes away costs: time, and nothing else. */
import { expect } from 'chai'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { WakeTarget } from '../../queues/jobs.ts'
import { until } from '../support/poll.ts'
import { shortest } from '../support/shortest.ts'
import { BACKENDS, type FragilePlace } from './places.ts'
import { isIdle, makeStage, type Stage } from './stage.ts'

const delivery = (destination: string): WakeTarget => ({ destination, queue: 'delivery' })

for (const { name, fragile } of BACKENDS) {
  if (!fragile) continue
  describe(`outages of queues on ${name}`, () => {
    let place: FragilePlace
    let stage: Stage
    beforeEach(async function () {
      place = await fragile(this)
      stage = await makeStage(place)
    })
    afterEach(async () => {
      await stage.close()
      await place.remove()
    })

    it('fails a wake soon while the server is away, and serves the first one after it is back', async function () {
      this.timeout(300_000)
      const served: string[] = []
      const turn = (destination: string) => {
        served.push(destination)
        return Promise.resolve({ again: false })
      }
      await stage.work({ turn })
      await stage.work({ turn })
      for (const round of ['first', 'second']) {
        await stage.wake([delivery(`before-${round}.example`)])
        await until(() => served.includes(`before-${round}.example`), { what: 'a turn before the crash' })

        await place.crash()
        const ask = async () => {
          const rejected = await stage.queues.wake([delivery('meanwhile.example')]).then(
            () => false,
            () => true,
          )
          expect(rejected).to.equal(true)
        }
        expect(await shortest(3_000, ask)).to.be.below(3_000)

        await place.start()
        await stage.wake([delivery(`after-${round}.example`)])
        await until(() => served.includes(`after-${round}.example`), { what: 'a turn after the restart' })
      }
    })

    it('takes up the job of a worker that was killed, and the wake that came meanwhile', async () => {
      const child = fork(new URL('worker-process.ts', import.meta.url), [JSON.stringify(place.config)], {
        execArgv: ['--import=tsx'],
      })
      await stage.wake([delivery('a.example')])
      const [destination] = (await once(child, 'message')) as [string]
      expect(destination).to.equal('a.example')
      await stage.wake([delivery('a.example')])
      child.kill('SIGKILL')

      let turns = 0
      await stage.work({
        turn: () => {
          turns += 1
          return Promise.resolve({ again: false })
        },
      })
      await until(() => turns === 2, { what: 'the killed turn and the wake after it' })
      await until(() => isIdle(stage.queues), { what: 'nothing left' })
    })
  })
}
