/** A wait of any length: longer than a timer can be, it is made of several. */
import { expect } from 'chai'
import { LONGEST_TIMER_MS, systemClock, timerMs } from '../../src/pace/clock.ts'

describe('the clock of this machine', () => {
  const real = globalThis.setTimeout
  let timers: { ms: number; fire: () => void }[] = []
  beforeEach(() => {
    timers = []
    globalThis.setTimeout = ((fire: () => void, ms: number) => {
      timers.push({ ms, fire })
      return timers.length
    }) as unknown as typeof setTimeout
  })
  afterEach(() => {
    globalThis.setTimeout = real
  })

  for (const ms of [0, 1_000, LONGEST_TIMER_MS, 2 ** 31, 5 * 2 ** 31 + 7, 90 * 86_400_000]) {
    it(`sleeps for ${ms} ms, with no timer that fires at once for being too long`, async () => {
      let over = false
      const sleeping = systemClock.sleep(ms).then(() => (over = true))
      let slept = 0
      for (let fired = 0; slept < ms || fired === 0; fired += 1) {
        await Promise.resolve()
        expect(over).to.equal(false)
        const timer = timers[fired]
        if (timer === undefined) throw new Error(`it gave up after ${slept} ms`)
        expect(timer.ms).to.be.at.most(2 ** 31 - 1)
        slept += timer.ms
        timer.fire()
      }
      await sleeping
      expect(slept).to.equal(ms)
    })
  }

  it('wakes at once when it is told to, also in the middle of a long wait', async () => {
    const told = new AbortController()
    const sleeping = systemClock.sleep(Infinity, told.signal)
    for (let i = 0; i < 3; i += 1) timers[i]?.fire()
    expect(timers.map(({ ms }) => ms)).to.deep.equal(Array(4).fill(LONGEST_TIMER_MS))
    told.abort()
    await sleeping
  })

  it('makes no timer of another length longer than it can be', () => {
    expect([5, 2 ** 31, Infinity].map(timerMs)).to.deep.equal([5, LONGEST_TIMER_MS, LONGEST_TIMER_MS])
  })
})
