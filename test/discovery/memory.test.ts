import { expect } from 'chai'
import { HOUR_MS } from '../../src/discovery/lifetime.ts'
import { makeAnswerMemory } from '../../src/discovery/memory.ts'
import type { AnswerMemory, MemoryNeeds } from '../../src/discovery/memory.ts'
import { handClock, settled } from './hand-clock.ts'
import type { HandClock } from './hand-clock.ts'

/** `good …`, `absent` or `failed …`. */
type Word = string

interface Asked {
  readonly key: string
  answer(word: Word): void
  fail(error: Error): void
}

interface Setting {
  readonly clock: HandClock
  readonly memory: AnswerMemory<Word>
  /** Lookups that were begun, in order. */
  readonly asked: Asked[]
  readonly bugs: unknown[]
  /** Gets and answers at once, if a lookup is begun. */
  readonly learn: (key: string, word: Word) => Promise<void>
}

const PATIENCE_MS = 2000

function aMemory(options: Partial<MemoryNeeds<Word>> = {}): Setting {
  const clock = handClock()
  const asked: Asked[] = []
  const bugs: unknown[] = []
  const memory = makeAnswerMemory<Word>({
    lookUp: (key) =>
      new Promise((resolve, reject) => {
        asked.push({ key, answer: resolve, fail: reject })
      }),
    rate: (word) =>
      word.startsWith('failed')
        ? { rank: 'failed', firstErrorMs: 60_000, longestErrorMs: HOUR_MS, shareable: false }
        : { rank: word === 'absent' ? 'absent' : 'good', lifeMs: HOUR_MS, shareable: true },
    ...{ shared: null, failureServes: true, most: 1000, patienceMs: PATIENCE_MS, clock, random: () => 0 },
    signal: new AbortController().signal,
    onBug: (error) => bugs.push(error),
    ...options,
  })
  async function learn(key: string, word: Word): Promise<void> {
    const before = asked.length
    const got = memory.get(key)
    await settled()
    expect(asked.length, 'a lookup').to.equal(before + 1)
    asked.at(-1)?.answer(word)
    await got
  }
  return { clock, memory, asked, bugs, learn }
}

const told = async ({ memory }: Setting, key = 'a') => {
  const { answer, state } = await memory.get(key)
  return `${answer}, ${state}`
}

describe('what is remembered of lookups', () => {
  it('asks once for all that come at the same time', async () => {
    const setting = aMemory()
    const all = Array.from({ length: 50 }, () => setting.memory.get('a'))
    const other = setting.memory.get('b')
    await settled()
    expect(setting.asked.map(({ key }) => key)).to.deep.equal(['a', 'b'])
    for (const one of setting.asked) one.answer('good 1')
    for (const { answer, state } of await Promise.all([...all, other])) {
      expect({ answer, state }).to.deep.equal({ answer: 'good 1', state: 'asked' })
    }
  })

  it('tells what is fresh without asking', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    await setting.clock.move(0.7 * HOUR_MS)
    expect(await told(setting)).to.equal('good 1, fresh')
    expect(setting.memory.peek('a')).to.deep.include({ ageMs: 0.7 * HOUR_MS, failures: 0 })
    expect(setting.asked).to.have.length(1)
  })

  it('asks in the background in the last part of its life, and has the new answer then', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    await setting.clock.move(0.8 * HOUR_MS)
    expect(await told(setting)).to.equal('good 1, fresh')
    expect(await told(setting)).to.equal('good 1, fresh')
    expect(setting.asked).to.have.length(2)
    setting.asked[1]?.answer('good 2')
    await settled()
    expect(await told(setting)).to.equal('good 2, fresh')
  })

  it('waits for the new answer once the old one is past its time', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    await setting.clock.move(HOUR_MS)
    const got = told(setting)
    await settled()
    setting.asked[1]?.answer('absent')
    expect(await got).to.equal('absent, asked')
  })

  it('keeps a good answer through lookups that fail, 48 hours at most', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    await setting.clock.move(HOUR_MS)
    let lookups = 0
    for (let hours = 1; hours < 47.9; hours += 0.05) {
      const got = told(setting)
      await settled()
      if (setting.asked.length > lookups + 1) lookups++
      setting.asked.at(-1)?.answer('failed 503')
      expect(await got).to.equal('good 1, stale')
      await setting.clock.move(0.05 * HOUR_MS)
    }
    // After 1, 2, 4 … 32 minutes, then hourly.
    expect(lookups).to.be.within(45, 56)
    await setting.clock.move(0.2 * HOUR_MS)
    await setting.learn('a', 'failed 503')
    expect(await told(setting)).to.equal('failed 503, fresh')
  })

  it('keeps "there is none" through lookups that fail as well', async () => {
    const setting = aMemory()
    await setting.learn('a', 'absent')
    await setting.clock.move(HOUR_MS)
    const got = told(setting)
    await settled()
    setting.asked[1]?.answer('failed 503')
    expect(await got).to.equal('absent, stale')
  })

  it('replaces a good answer at once: by another one, and by "there is none"', async () => {
    for (const word of ['good 2', 'absent']) {
      const setting = aMemory()
      await setting.learn('a', 'good 1')
      await setting.clock.move(0.8 * HOUR_MS)
      await setting.memory.get('a')
      setting.asked[1]?.answer(word)
      await settled()
      expect(await told(setting)).to.equal(`${word}, fresh`)
    }
  })

  it('waits for a host that swallows packets once, and never again', async () => {
    const setting = aMemory()
    const first = told(setting)
    await setting.clock.move(10_000)
    setting.asked[0]?.answer('failed no answer')
    expect(await first).to.equal('failed no answer, asked')
    for (let i = 1; i <= 20; i++) {
      await setting.clock.move(0.9 * HOUR_MS)
      // Nothing is moved on between asking and being told.
      expect(await told(setting)).to.match(/^failed no answer, (?:stale|fresh)$/)
      await setting.clock.move(10_000)
      setting.asked.at(-1)?.answer('failed no answer')
    }
    expect(setting.asked.length).to.be.above(10)
  })

  it('waits for a host that answered before and swallows packets now no longer than its patience, once', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    await setting.clock.move(HOUR_MS)
    let got: string | null = null
    void told(setting).then((word) => (got = word))
    await setting.clock.move(PATIENCE_MS - 1)
    expect(got).to.equal(null)
    await setting.clock.move(1)
    expect(got).to.equal('good 1, stale')
    expect(await told(setting)).to.equal('good 1, stale')
    await setting.clock.move(10_000)
    setting.asked[1]?.answer('failed no answer')
    await setting.clock.move(0.5 * HOUR_MS)
    expect(await told(setting)).to.equal('good 1, stale')
    expect(setting.asked).to.have.length(3)
    setting.asked[2]?.answer('good 2')
    await settled()
    expect(await told(setting)).to.equal('good 2, fresh')
  })

  it('does not remember an error for longer than an hour where the host answers quickly', async () => {
    const setting = aMemory()
    await setting.learn('a', 'failed 503')
    await setting.clock.move(59_000)
    expect(await told(setting)).to.equal('failed 503, fresh')
    await setting.clock.move(1000)
    const got = told(setting)
    await settled()
    setting.asked[1]?.answer('good 1')
    expect(await got).to.equal('good 1, asked')
  })

  it('waits for the lookup where a failure serves for nothing', async () => {
    const setting = aMemory({ failureServes: false })
    const first = told(setting)
    await setting.clock.move(10_000)
    setting.asked[0]?.answer('failed')
    await first
    await setting.clock.move(60_000)
    let got: string | null = null
    void told(setting).then((word) => (got = word))
    await setting.clock.move(9_000)
    expect(got).to.equal(null)
    setting.asked[1]?.answer('good 1')
    await settled()
    expect(got).to.equal('good 1, asked')
  })

  it('goes by the clock that says the answer is older', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    // The machine slept: its monotonic clock stood still.
    setting.clock.setWall(48 * HOUR_MS)
    await setting.learn('a', 'good 2')
    // The wall clock was set back: the other one goes on.
    setting.clock.setWall(-48 * HOUR_MS)
    await setting.clock.move(0.5 * HOUR_MS)
    expect(await told(setting)).to.equal('good 2, fresh')
    await setting.clock.move(48 * HOUR_MS)
    await setting.learn('a', 'good 3')
  })

  it('asks anew where that is wanted, and a failure replaces nothing even then', async () => {
    const setting = aMemory()
    await setting.learn('a', 'good 1')
    const anew = setting.memory.get('a', { anew: true })
    await settled()
    setting.asked[1]?.answer('failed')
    expect(await anew).to.include({ answer: 'good 1', state: 'fresh', failures: 1 })
  })

  it('forgets failures when told to, and no answer', async () => {
    const setting = aMemory()
    await setting.learn('a', 'failed')
    await setting.learn('b', 'good 1')
    await setting.clock.move(0.8 * HOUR_MS)
    await setting.memory.get('b')
    setting.asked.at(-1)?.answer('failed')
    await settled()
    setting.memory.forgetFailures()
    await setting.learn('a', 'good 2')
    expect(await told(setting, 'b')).to.equal('good 1, fresh')
    expect(setting.asked.map(({ key }) => key)).to.deep.equal(['a', 'b', 'b', 'a', 'b'])
  })

  it('remembers no more names than it may, those that were asked for last', async () => {
    let lookups = 0
    const setting = aMemory({ most: 100, lookUp: () => Promise.resolve(`good ${++lookups}`) })
    for (let i = 0; i < 20_000; i++) {
      await setting.memory.get(`h${i}`)
      await setting.memory.get('often')
    }
    expect(setting.memory.counts()).to.deep.equal({ remembered: 100, inFlight: 0 })
    expect(lookups).to.equal(20_001)
    expect(setting.memory.peek('often')).to.not.equal(null)
    expect(setting.memory.peek('h19999')).to.not.equal(null)
    expect(setting.memory.peek('h19800')).to.equal(null)
  })

  it('has no more than 64 lookups in the background', async () => {
    const setting = aMemory()
    for (let i = 0; i < 100; i++) await setting.learn(`h${i}`, 'good 1')
    await setting.clock.move(0.8 * HOUR_MS)
    for (let i = 0; i < 100; i++) await setting.memory.get(`h${i}`)
    expect(setting.asked).to.have.length(164)
    for (const one of setting.asked.slice(100)) one.answer('good 2')
    await settled()
    for (let i = 0; i < 100; i++) await setting.memory.get(`h${i}`)
    expect(setting.asked).to.have.length(200)
  })

  it('tells no old answer that was not asked for again, however many are past their time at once', async () => {
    const setting = aMemory()
    for (let i = 0; i < 100; i++) await setting.learn(`h${i}`, 'good 1')
    await setting.clock.move(HOUR_MS)
    const all = Array.from({ length: 100 }, (_, i) => told(setting, `h${i}`))
    await settled()
    expect(setting.asked).to.have.length(200)
    for (const one of setting.asked.slice(100)) one.answer('good 2')
    expect(new Set(await Promise.all(all))).to.deep.equal(new Set(['good 2, asked']))
  })

  it('tells a defect of a lookup to its caller, or to the log if nobody waits', async () => {
    const setting = aMemory()
    const got = setting.memory.get('a')
    await settled()
    setting.asked[0]?.fail(new Error('a defect'))
    expect(await got.catch((error: unknown) => String(error))).to.equal('Error: a defect')
    await setting.learn('a', 'good 1')
    await setting.clock.move(0.8 * HOUR_MS)
    await setting.memory.get('a')
    setting.asked.at(-1)?.fail(new Error('another'))
    await settled()
    expect(setting.bugs.map(String)).to.deep.equal(['Error: another'])
    expect(await told(setting)).to.equal('good 1, fresh')
  })
})
