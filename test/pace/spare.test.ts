import { expect } from 'chai'
import { eventLoopUse, makeSpare } from '../../src/pace/spare.ts'

/** `pass` lets time go by, tick by tick, and lets everything happen that follows. */
function stage({ used = 0, pressing = true, tickMs = 10 } = {}) {
  const now = { used, pressing, ms: 0, tickMs }
  let end: (() => void) | null = null
  const sleep = () => new Promise<void>((resolve) => (end = resolve))
  const spare = makeSpare({
    clock: { monotonic: () => now.ms, sleep },
    used: () => now.used,
    pressing: () => now.pressing,
  })
  let [begun, again] = [0, 0]
  const ask = (count: number, signal?: AbortSignal, hasFailed = false) => {
    for (let i = 0; i < count; i += 1)
      void spare.wait(signal ?? new AbortController().signal, hasFailed).then(() => {
        begun += 1
        if (hasFailed) again += 1
      })
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  /** How many began in this time. */
  const pass = async (ms: number) => {
    const before = begun
    for (const until = now.ms + ms; now.ms < until;) {
      now.ms += now.tickMs
      end?.()
      end = null
      await settled()
    }
    return begun - before
  }
  return { now, ask, pass, settled, begun: () => begun, again: () => again, sleeps: () => end !== null }
}

describe('work that waits for time to spare', () => {
  it('begins at once while nothing is pressing', async () => {
    const { ask, begun, settled, sleeps } = stage({ used: 1, pressing: false })
    ask(500)
    await settled()
    expect(begun()).to.equal(500)
    expect(sleeps()).to.equal(false)
  })

  it('goes on at 25 a second where the process has no time left, also when its ticks come late', async () => {
    const { now, ask, pass } = stage({ used: 1 })
    ask(1_000)
    await pass(2_000)
    expect(await pass(1_000)).to.be.within(24, 26)
    now.tickMs = 40
    expect(await pass(1_000)).to.be.within(24, 26)
  })

  it('goes on the faster the longer there is time left, and slower as soon as there is none', async () => {
    const { now, ask, pass } = stage({ used: 0.5 })
    ask(5_000)
    const first = await pass(500)
    const second = await pass(500)
    expect(second).to.be.above(first * 2)
    now.used = 0.9
    await pass(500)
    expect(await pass(500)).to.be.below(second / 2)
  })

  it('that has failed goes after what is tried for the first time, but one of eight that begin has failed', async () => {
    const { ask, again, pass } = stage({ used: 1 })
    ask(200, undefined, true)
    ask(140)
    const begun = await pass(6_400)
    expect([again(), begun]).to.deep.equal([20, 160])
    await pass(3_200)
    expect(again()).to.equal(100)
  })

  it('makes up for no long stop of the process at once', async () => {
    const { now, ask, pass } = stage({ used: 1 })
    ask(1_000)
    await pass(2_000)
    now.tickMs = 5_000
    expect(await pass(5_000)).to.be.below(5)
  })

  it('all begins when nothing is pressing any more, and then nothing sleeps', async () => {
    const { ask, pass, now, sleeps } = stage({ used: 1 })
    ask(300)
    now.pressing = false
    expect(await pass(10)).to.equal(300)
    expect(sleeps()).to.equal(false)
    now.pressing = true
    ask(1)
    expect(await pass(40)).to.equal(1)
  })

  it('waits no longer than its signal', async () => {
    const { ask, begun, settled } = stage({ used: 1 })
    const stopping = new AbortController()
    ask(10, stopping.signal)
    await settled()
    expect(begun()).to.equal(0)
    stopping.abort()
    await settled()
    expect(begun()).to.equal(10)
    ask(1, stopping.signal)
    await settled()
    expect(begun()).to.equal(11)
  })

  it('knows how busy the event loop was since it was last asked', async () => {
    const used = eventLoopUse()
    const until = performance.now() + 30
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve))
    expect(used()).to.be.within(0.5, 1)
  })
})
