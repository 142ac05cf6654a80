import { expect } from 'chai'
import { makeNudge } from '../../src/pace/nudge.ts'
import { repeat } from '../../src/pace/repeat.ts'

/** A clock on which nothing but a signal ends a sleep. */
function still() {
  const slept: number[] = []
  const sleep = (ms: number, signal?: AbortSignal) => {
    slept.push(ms)
    return new Promise<void>((resolve) => {
      if (signal?.aborted === true) resolve()
      signal?.addEventListener('abort', () => resolve(), { once: true })
    })
  }
  return { slept, clock: { now: () => 0, monotonic: () => 0, sleep } }
}
const never = () => new AbortController()

describe('a wait that a nudge cuts short', () => {
  it('ends with a nudge, and with its signal', async () => {
    const { clock, slept } = still()
    const news = makeNudge(clock)
    const first = news.wait(100, never().signal)
    news.nudge()
    await first
    const stopping = never()
    const second = news.wait(200, stopping.signal)
    stopping.abort()
    await second
    await news.wait(300, stopping.signal)
    expect(slept).to.deep.equal([100, 200])
  })

  it('ends at once with a nudge that came before it, and only the first after it', async () => {
    const { clock, slept } = still()
    const news = makeNudge(clock)
    news.nudge()
    news.nudge()
    await news.wait(100, never().signal)
    expect(slept).to.deep.equal([])
    const next = news.wait(200, never().signal)
    expect(slept).to.deep.equal([200])
    news.nudge()
    await next
  })
})

describe('what is done again and again', () => {
  it('goes on after a failure, rests after each time, and ends when it is told to', async () => {
    const told: unknown[] = []
    const stopping = never()
    let times = 0
    const clock = { ...still().clock, sleep: () => Promise.resolve() }
    const work = () => {
      times += 1
      if (times === 3) stopping.abort()
      return times === 2 ? Promise.reject(new Error('once')) : Promise.resolve()
    }
    await repeat(work, { clock, everyMs: 5, failed: (error) => told.push(String(error)) }, stopping.signal)
    expect(told).to.deep.equal(['Error: once'])
    expect(times).to.equal(3)
  })

  it('ends with an error that has no place to be told', async () => {
    const ended = repeat(
      () => Promise.reject(new Error('not told')),
      { clock: still().clock, everyMs: 5 },
      never().signal,
    ).catch(String)
    expect(await ended).to.equal('Error: not told')
  })
})
