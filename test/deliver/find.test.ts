import { expect } from 'chai'
import { setMaxListeners } from 'node:events'
import { makeFind, type Find, type Sought } from '../../src/deliver/find.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import type { Resolution } from '../../src/wire/target.ts'
import { handClock, settled } from '../discovery/hand-clock.ts'

const FAILED: Resolution = { kind: 'failed', stage: 'address', message: 'nobody knows' }
const THERE = { kind: 'found', to: { targets: [], key: '', leftMs: null } } as const
const who = (n: number): Sought => ({ name: parseServerName(`h${n}.example`)!, quick: n % 2 === 0 })
const many = (count: number) => Array.from({ length: count }, (_, n) => who(n))
const going = new AbortController().signal
// Many listen to it.
setMaxListeners(0, going)

function aSearch(most = 1_000, blocked = new Set<string>()) {
  const clock = handClock()
  const asked: string[] = []
  const woken: Sought[] = []
  const bugs: unknown[] = []
  const answers = new Map<string, { tell: (resolution: Resolution) => void; fail: (error: Error) => void }>()
  const find: Find = makeFind({
    resolveTarget: (name) =>
      new Promise((tell, fail) => {
        asked.push(name)
        answers.set(name, { tell, fail })
      }),
    wake: (one) => void woken.push(one),
    onBug: (error) => void bugs.push(error),
    isBlocked: (name) => blocked.has(name),
    ...{ most, clock },
  })
  const answer = async (n: number, resolution: Resolution) => {
    answers.get(who(n).name)?.tell(resolution)
    await settled()
  }
  return { clock, asked, woken, bugs, answers, find, answer }
}

describe('where a destination is, before it gets a place', () => {
  it('is told as soon as it is known, and is asked again the next time', async () => {
    const { find, answer, asked, woken } = aSearch()
    const first = find(who(1), going)
    await settled()
    await answer(1, THERE)
    expect(await first).to.deep.equal({ kind: 'found' })
    const second = find(who(1), going)
    await settled()
    await answer(1, FAILED)
    expect(await second).to.deep.equal({ ...FAILED, durationMs: 0 })
    expect([asked.length, woken]).to.deep.equal([2, []])
  })

  it('is waited for no longer than two seconds; then its turn ends, it is woken with the answer, and the answer is told once', async () => {
    const { find, answer, clock, asked, woken } = aSearch()
    const first = find(who(1), going)
    await clock.move(2_100)
    expect(await first).to.deep.equal({ kind: 'slow' })
    expect(await find(who(1), going)).to.deep.equal({ kind: 'slow' })
    expect(woken).to.deep.equal([])
    await answer(1, FAILED)
    expect(woken).to.deep.equal([who(1)])
    expect(await find(who(1), going)).to.include({ kind: 'failed', message: 'nobody knows' })
    expect(asked).to.have.length(1)
    void find(who(1), going)
    await settled()
    expect(asked).to.have.length(2)
  })

  it('wakes nobody who is blocked by then, and tells nobody afterwards what was found while that was so', async () => {
    const blocked = new Set<string>()
    const { find, answer, clock, asked, woken } = aSearch(1_000, blocked)
    const first = find(who(1), going)
    await clock.move(2_100)
    expect(await first).to.deep.equal({ kind: 'slow' })
    blocked.add(who(1).name)
    await answer(1, FAILED)
    blocked.clear()
    expect(woken).to.deep.equal([])
    const second = find(who(1), going)
    await settled()
    expect(asked).to.have.length(2)
    await answer(1, THERE)
    expect(await second).to.deep.equal({ kind: 'found' })
  })

  it('ends the turns of many that are out of the ordinary at once', async () => {
    const { find, clock } = aSearch()
    const turns = many(200).map((one) => find(one, going))
    await clock.move(300)
    expect(await Promise.all(turns)).to.deep.equal(many(200).map(() => ({ kind: 'slow' })))
  })

  it('but waits for what is ordinary at the time: where all of them take long, no turn ends for it', async () => {
    const { find, clock, answer } = aSearch()
    for (let n = 0; n < 30; n += 1) {
      const turn = find(who(n), going)
      await clock.move(500)
      await answer(n, THERE)
      await turn
    }
    const ended: unknown[] = []
    for (const one of many(200)) void find(one, going).then((found) => ended.push(found))
    await clock.move(900)
    expect(ended).to.deep.equal([])
    await clock.move(900)
    expect(ended).to.have.length(200)
  })

  it('is not told of a failure that is old: then it is asked again', async () => {
    const { find, answer, clock, asked } = aSearch()
    const first = find(who(1), going)
    await clock.move(2_100)
    await first
    await answer(1, FAILED)
    await clock.move(10_000)
    void find(who(1), going)
    await settled()
    expect(asked).to.have.length(2)
  })

  it('is asked for no more than may be at once; who waits for a place is no failure, and waits as long as its signal', async () => {
    const { find, answer, asked } = aSearch(1)
    void find(who(1), going)
    const over = new AbortController()
    const waiting = find(who(2), over.signal)
    await settled()
    expect(asked).to.have.length(1)
    over.abort()
    expect(await waiting).to.deep.equal({ kind: 'no place' })
    const next = find(who(3), going)
    await answer(1, THERE)
    await settled()
    await answer(3, THERE)
    expect(await next).to.deep.equal({ kind: 'found' })
    expect(asked).to.deep.equal([who(1).name, who(3).name])
  })

  it('is left to the dial where asking has a defect', async () => {
    const { find, answers, bugs } = aSearch()
    const found = find(who(1), going)
    await settled()
    answers.get(who(1).name)?.fail(new Error('a defect'))
    expect(await found).to.deep.equal({ kind: 'found' })
    expect(bugs).to.have.length(1)
  })

  // Such a destination was never looked for again, and never woken: not before the process ended.
  it('is told or wakes it also where the answer comes just when its turn ends', async () => {
    for (let ticks = 0; ticks < 30; ticks += 1) {
      const sleeping: (() => void)[] = []
      const sleep = () => new Promise<void>((wake) => sleeping.push(wake))
      const woken: Sought[] = []
      let tell: (resolution: Resolution) => void = () => undefined
      const find = makeFind({
        resolveTarget: () => new Promise((resolve) => (tell = resolve)),
        wake: (one) => void woken.push(one),
        isBlocked: () => false,
        ...{ onBug: () => undefined, most: 9, clock: { monotonic: () => 0, sleep } },
      })
      let told: string | undefined
      void find(who(1), going).then(({ kind }) => (told = kind))
      for (let waits = 0; waits < 7; waits += 1) {
        await settled()
        sleeping.pop()?.()
      }
      for (let n = 0; n < ticks; n += 1) await Promise.resolve()
      tell(FAILED)
      await settled()
      expect([told, woken.length]).to.be.deep.oneOf([
        ['failed', 0],
        ['slow', 1],
      ])
    }
  })

  it('takes no place where there is nothing to be asked, or where it was found without a wait the last time', async () => {
    const { find, answer, asked } = aSearch(1)
    void find(who(1), going)
    await settled()
    await answer(1, THERE)
    void find(who(2), going)
    await settled()
    const literal = { name: parseServerName('192.0.2.1:8448')!, quick: true }
    expect(await find(literal, going)).to.deep.equal({ kind: 'found' })
    const again = find(who(1), going)
    await settled()
    await answer(1, FAILED)
    expect(await again).to.include({ kind: 'failed' })
    expect(asked).to.deep.equal([1, 2, 1].map((n) => who(n).name))
    // It was not found: now it waits for its place like all others.
    const over = new AbortController()
    const waiting = find(who(1), over.signal)
    await settled()
    over.abort()
    expect(await waiting).to.deep.equal({ kind: 'no place' })
  })
})
