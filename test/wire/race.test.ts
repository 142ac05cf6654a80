import { expect } from 'chai'
import { race } from '../../src/wire/race.ts'
import type { Attempted, Runner } from '../../src/wire/race.ts'
import { until } from '../support/poll.ts'

type Ends = (attempted: Attempted<string, string>) => void

/** A race of which the test says how each attempt ends. */
function start(places: readonly number[], staggerMs: number, signal = new AbortController().signal) {
  const ends = new Map<number, Ends>()
  const runners = new Map<number, Runner>()
  const discarded: string[] = []
  const raced = race<number, string, string>({
    ...{ places, staggerMs, signal },
    discard: (value) => discarded.push(value),
    attempt: (place, runner) => {
      runners.set(place, runner)
      return new Promise((resolve) => ends.set(place, resolve))
    },
  })
  const started = () => [...ends.keys()]
  const lose = (place: number) => ends.get(place)?.({ kind: 'lost', why: `${place} lost` })
  const win = (place: number) => ends.get(place)?.({ kind: 'won', value: `${place} won` })
  return { raced, runners, discarded, started, lose, win }
}

const FOR_EVER = 600_000

describe('several ways to the same thing', () => {
  it('the next starts after the delay, or at once where one has failed', async () => {
    const { raced, started, lose } = start([1, 2, 3, 4], FOR_EVER)
    expect(started()).to.deep.equal([1])
    lose(1)
    await until(() => started().length === 2, { what: 'the second' })
    const delayed = start([1, 2, 3], 20)
    await until(() => delayed.started().length === 3, { what: 'all to be started' })
    for (const place of [2, 3, 4]) {
      lose(place)
      await until(() => started().length === Math.min(place + 1, 4), { what: 'the next' })
    }
    expect(await raced).to.deep.equal({ kind: 'lost', whys: ['1 lost', '2 lost', '3 lost', '4 lost'] })
  })

  it('the first to succeed wins; the others are ended, and what they still bring is discarded', async () => {
    const { raced, started, win, lose, runners, discarded } = start([1, 2, 3], 1)
    await until(() => started().length === 3, { what: 'all to be started' })
    win(2)
    win(1)
    expect(await raced).to.deep.equal({ kind: 'won', place: 2, value: '2 won' })
    expect(runners.get(3)?.signal.aborted).to.equal(true)
    lose(3)
    await until(() => discarded.length === 1, { what: 'the other to be discarded' })
    expect(discarded).to.deep.equal(['1 won'])
  })

  it('starts no other while one holds, unless one fails, and a delay after it moves', async () => {
    const { started, runners, lose } = start([1, 2, 3, 4], 30)
    runners.get(1)?.hold()
    const twiceTheDelay = async () => {
      const other = start([1, 2], 60)
      await until(() => other.started().length === 2, { what: 'twice the delay' })
    }
    await twiceTheDelay()
    expect(started()).to.deep.equal([1])
    runners.get(1)?.moved()
    await until(() => started().length === 2, { what: 'the second' })
    runners.get(1)?.hold()
    lose(2)
    await until(() => started().length === 3, { what: 'the third' })
    await twiceTheDelay()
    expect(started()).to.deep.equal([1, 2, 3])
  })

  it('an end from outside ends all, and resolves when they have ended', async () => {
    const abort = new AbortController()
    const { raced, started, runners, win, discarded } = start([1, 2], 1, abort.signal)
    await until(() => started().length === 2, { what: 'both' })
    let resolved = false
    void raced.then(() => (resolved = true))
    abort.abort()
    expect([...runners.values()].map(({ signal }) => signal.aborted)).to.deep.equal([true, true])
    win(1)
    await until(() => discarded.length === 1, { what: 'the late one to be discarded' })
    expect(resolved).to.equal(false)
    win(2)
    expect(await raced).to.deep.equal({ kind: 'lost', whys: [] })
    expect(discarded).to.deep.equal(['1 won', '2 won'])
  })

  it('without a place, or ended before, it is lost at once', async () => {
    expect(await start([], 1).raced).to.deep.equal({ kind: 'lost', whys: [] })
    const { raced, started } = start([1], 1, AbortSignal.abort())
    expect(await raced).to.deep.equal({ kind: 'lost', whys: [] })
    expect(started()).to.deep.equal([])
  })

  it('an attempt that throws is an error, which ends the others', async () => {
    let ended = false
    const raced = race<number, string, string>({
      ...{ places: [1, 2], staggerMs: 1, signal: new AbortController().signal, discard: () => undefined },
      attempt: (place, { signal }) => {
        if (place === 2) return Promise.reject(new Error('unforeseen'))
        return new Promise(() => signal.addEventListener('abort', () => (ended = true)))
      },
    })
    expect(await raced.catch((error: unknown) => String(error))).to.equal('Error: unforeseen')
    expect(ended).to.equal(true)
  })
})
