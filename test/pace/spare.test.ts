import { expect } from 'chai'
import { eventLoopUse, makeSpare } from '../../src/pace/spare.ts'

/** `tick` lets the next sleep end, and everything that follows from it. */
function stage({ used = 0, pressing = true } = {}) {
  const now = { used, pressing }
  let end: (() => void) | null = null
  const sleep = () => new Promise<void>((resolve) => (end = resolve))
  const spare = makeSpare({
    clock: { now: () => 0, monotonic: () => 0, sleep },
    used: () => now.used,
    pressing: () => now.pressing,
  })
  const begun: number[] = []
  const ask = (count: number, signal?: AbortSignal) => {
    for (let i = 0; i < count; i += 1)
      void spare.wait(signal ?? new AbortController().signal).then(() => begun.push(begun.length))
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const tick = async () => {
    end?.()
    end = null
    await settled()
  }
  return { now, spare, begun, ask, tick, settled, sleeps: () => end !== null }
}

describe('work that waits for time to spare', () => {
  it('begins at once while nothing is pressing', async () => {
    const { ask, begun, settled, sleeps } = stage({ used: 1, pressing: false })
    ask(500)
    await settled()
    expect(begun).to.have.length(500)
    expect(sleeps()).to.equal(false)
  })

  it('goes on one by one where the process has no time left', async () => {
    const { ask, begun, tick, settled } = stage({ used: 1 })
    ask(100)
    await settled()
    expect(begun).to.have.length(0)
    // What it was used before has to be forgotten first.
    for (let n = 0; n < 12; n += 1) await tick()
    const before = begun.length
    for (let n = 0; n < 5; n += 1) await tick()
    expect(begun.length - before).to.equal(5)
  })

  it('goes on the faster the more time is left', async () => {
    const { ask, begun, now, tick } = stage({ used: 0.5 })
    ask(1_000)
    for (let n = 0; n < 30; n += 1) await tick()
    const before = begun.length
    await tick()
    expect(begun.length - before).to.equal(13)
    now.used = 0
    for (let n = 0; n < 30; n += 1) await tick()
    expect(begun).to.have.length(1_000)
  })

  it('all begins when nothing is pressing any more, and then nothing sleeps', async () => {
    const { ask, begun, now, tick, sleeps } = stage({ used: 1 })
    ask(300)
    now.pressing = false
    await tick()
    expect(begun).to.have.length(300)
    expect(sleeps()).to.equal(false)
    now.pressing = true
    ask(1)
    await tick()
    expect(begun).to.have.length(301)
  })

  it('waits no longer than its signal', async () => {
    const { ask, begun, settled } = stage({ used: 1 })
    const stopping = new AbortController()
    ask(10, stopping.signal)
    await settled()
    expect(begun).to.have.length(0)
    stopping.abort()
    await settled()
    expect(begun).to.have.length(10)
    ask(1, stopping.signal)
    await settled()
    expect(begun).to.have.length(11)
  })

  it('knows how busy the event loop was since it was last asked', async () => {
    const used = eventLoopUse()
    const until = performance.now() + 30
    while (performance.now() < until);
    await new Promise((resolve) => setImmediate(resolve))
    expect(used()).to.be.within(0.5, 1)
  })
})
