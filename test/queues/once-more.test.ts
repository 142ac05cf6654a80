import { expect } from 'chai'
import { pino } from 'pino'
import type { Backend, JobQueue } from '../../queues/backend.ts'
import { makeOnceMore } from '../../queues/once-more.ts'
import { openQueues } from '../../queues/queues.ts'

/** Work whose runs end when the test says so. */
function makeWork() {
  const ends: ((error?: Error) => void)[] = []
  const work = () =>
    new Promise<void>((resolve, reject) => {
      ends.push((error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  return { work, ends }
}

describe('once more', () => {
  it('starts one run at once and one more for all who asked meanwhile', async () => {
    const { work, ends } = makeWork()
    const ask = makeOnceMore(work)
    const first = ask()
    const later = [ask(), ask(), ask()]
    expect(ends).to.have.length(1)
    ends[0]?.()
    await first
    await Promise.resolve()
    expect(ends).to.have.length(2)
    ends[1]?.()
    await Promise.all(later)
    expect(ends).to.have.length(2)
  })

  it('tells those who asked for a run of its failure, and nobody else', async () => {
    const { work, ends } = makeWork()
    const ask = makeOnceMore(work)
    const first = ask().then(
      () => 'done',
      () => 'failed',
    )
    const second = ask()
    ends[0]?.(new Error('the queue is away'))
    expect(await first).to.equal('failed')
    await new Promise((resolve) => setImmediate(resolve))
    ends[1]?.()
    await second
  })

  it('never runs two at a time, however it is asked', async () => {
    let active = 0
    let most = 0
    let runs = 0
    const ask = makeOnceMore(async () => {
      active += 1
      runs += 1
      most = Math.max(most, active)
      await new Promise((resolve) => setImmediate(resolve))
      active -= 1
    })
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        for (let hop = 0; hop < n % 7; hop += 1) await Promise.resolve()
        await ask()
        await ask()
      }),
    )
    expect(most).to.equal(1)
    expect(runs).to.be.below(10)
  })

  it('is how the fanout is nudged: a thousand nudges are two jobs added, one after the other', async () => {
    const { work, ends } = makeWork()
    const queue = { addBulk: work, on: () => undefined } as unknown as JobQueue
    const backend = { openQueue: () => queue } as unknown as Backend
    const queues = openQueues({ backend, log: pino({ level: 'silent' }) })
    const nudges = Array.from({ length: 1000 }, () => queues.nudgeFanout())
    expect(ends).to.have.length(1)
    ends[0]?.()
    await nudges[0]
    await new Promise((resolve) => setImmediate(resolve))
    expect(ends).to.have.length(2)
    ends[1]?.()
    await Promise.all(nudges)
    expect(ends).to.have.length(2)
  })
})
