import { expect } from 'chai'
import { HOUR_MS } from '../../src/discovery/lifetime.ts'
import { makeAnswerMemory } from '../../src/discovery/memory.ts'
import { makeSharedClient } from '../../src/discovery/share.ts'
import { makeSharedInMemory } from './shared-in-memory.ts'
import type { SharedAnswers } from '../../src/pace/shared-answers.ts'
import { handClock, settled } from './hand-clock.ts'

/** Processes with one table, and what they looked up. `good …` and `absent` arrived; `failed …` did not. */
function processes(wrap: (table: SharedAnswers) => SharedAnswers = (table) => table) {
  const clock = handClock()
  const table = makeSharedInMemory(() => clock.monotonic())
  const lookups: string[] = []
  const troubles: unknown[] = []
  let word: (process: string, key: string) => string | Promise<string> = () => 'good 1'

  function start(name: string) {
    const signal = new AbortController().signal
    return makeAnswerMemory<string>({
      lookUp: async (key) => {
        lookups.push(`${name} ${key}`)
        await settled()
        return word(name, key)
      },
      rate: (answer) =>
        answer.startsWith('failed')
          ? {
              rank: 'failed',
              firstErrorMs: 60_000,
              longestErrorMs: HOUR_MS,
              shareable: answer.includes('503'),
            }
          : { rank: answer === 'absent' ? 'absent' : 'good', lifeMs: HOUR_MS, shareable: true },
      shared: makeSharedClient({
        ...{ table: wrap(table(name)), kind: 'test', clock, signal },
        encode: (answer) => JSON.stringify(answer),
        decode: (text) => (text.startsWith('"') ? (JSON.parse(text) as string) : null),
        onTrouble: (error) => troubles.push(error),
      }),
      ...{ failureServes: true, most: 5000, patienceMs: 2000, clock, random: () => 0, signal },
      onBug: (error) => troubles.push(error),
    })
  }
  return {
    clock,
    lookups,
    troubles,
    start,
    table,
    answerWith(next: typeof word) {
      word = next
    },
  }
}

const told = async (memory: ReturnType<ReturnType<typeof processes>['start']>, key = 'a') => {
  const { answer, state } = await memory.get(key)
  return `${answer}, ${state}`
}

describe('answers that all processes share', () => {
  it('are asked for once, by whichever process comes first', async () => {
    const setting = processes()
    const [one, other] = [setting.start('one'), setting.start('other')]
    const names = Array.from({ length: 2000 }, (_, i) => `h${i}`)
    const all = Promise.all(names.flatMap((name) => [one.get(name), other.get(name)]))
    await setting.clock.move(1000)
    expect((await all).every(({ answer }) => answer === 'good 1')).to.equal(true)
    expect(setting.lookups).to.have.length(2000)
    // A restart with what is stored.
    const again = setting.start('again')
    for (const name of names) expect(await told(again, name)).to.equal('good 1, shared')
    expect(setting.lookups).to.have.length(2000)
    expect(setting.troubles).to.deep.equal([])
    expect(setting.clock.sleeping(), 'time limits that nobody needs any more').to.equal(0)
  })

  it('keep their age from process to process, and are refreshed by one', async () => {
    const setting = processes()
    await setting.start('one').get('a')
    await setting.clock.move(0.7 * HOUR_MS)
    const [two, three] = [setting.start('two'), setting.start('three')]
    expect(await told(two)).to.equal('good 1, shared')
    expect(await told(three)).to.equal('good 1, shared')
    expect(two.peek('a')).to.include({ ageMs: 0.7 * HOUR_MS })
    await setting.clock.move(0.1 * HOUR_MS)
    setting.answerWith(() => 'good 2')
    await two.get('a')
    await three.get('a')
    await setting.clock.move(1000)
    expect([await told(two), await told(three)]).to.deep.equal(['good 2, fresh', 'good 2, fresh'])
    expect(setting.lookups).to.deep.equal(['one a', 'two a'])
  })

  it('are none that did not arrive: each process finds out for itself', async () => {
    const setting = processes()
    setting.answerWith((process) => (process === 'one' ? 'failed no answer' : 'good 1'))
    const [one, other] = [setting.start('one'), setting.start('other')]
    expect(await told(one)).to.equal('failed no answer, asked')
    expect(await told(other)).to.equal('good 1, asked')
    await setting.clock.move(60_000)
    expect(await told(one)).to.equal('good 1, shared')
  })

  it('stay good while lookups fail, in the table too', async () => {
    const setting = processes()
    const one = setting.start('one')
    await one.get('a')
    await setting.clock.move(HOUR_MS)
    setting.answerWith(() => 'failed 503')
    expect(await told(one)).to.equal('good 1, stale')
    expect(await told(setting.start('other'))).to.equal('good 1, stale')
    expect(setting.lookups).to.have.length(2)
    await setting.clock.move(47 * HOUR_MS)
    expect(await told(setting.start('third'))).to.equal('failed 503, asked')
  })

  it('do not wait for long for a process that died', async () => {
    const setting = processes()
    setting.answerWith((process) => (process === 'dead' ? new Promise(() => undefined) : 'good 1'))
    void setting.start('dead').get('a')
    await settled()
    let got: string | null = null
    void told(setting.start('other')).then((word) => (got = word))
    await setting.clock.move(19_000)
    expect(got).to.equal(null)
    await setting.clock.move(2_000)
    expect(got).to.equal('good 1, asked')
  })

  it('are looked up all the same where the table says for ever that another process does it', async () => {
    const theirs = { claim: 'theirs', stored: null } as const
    const setting = processes((table) => ({ ...table, claim: () => Promise.resolve(theirs) }))
    let got: string | null = null
    void told(setting.start('one')).then((word) => (got = word))
    await setting.clock.move(19_000)
    expect(got).to.equal(null)
    await setting.clock.move(2_000)
    expect(got).to.equal('good 1, asked')
  })

  it('are not missed where the table fails, or says nothing for two seconds', async () => {
    const failing = processes((table) => ({
      ...table,
      claim: () => Promise.reject(new Error('no database')),
    }))
    expect(await told(failing.start('one'))).to.equal('good 1, asked')
    expect(failing.troubles.map(String)).to.deep.equal(['Error: no database'])

    const silent = processes((table) => ({ ...table, claim: () => new Promise(() => undefined) }))
    let got: string | null = null
    void told(silent.start('one')).then((word) => (got = word))
    await silent.clock.move(2000)
    expect(got).to.equal('good 1, asked')
    expect(silent.troubles).to.have.length(1)

    const deaf = processes((table) => ({ ...table, store: () => Promise.reject(new Error('read-only')) }))
    expect(await told(deaf.start('one'))).to.equal('good 1, asked')
    await settled()
    expect(deaf.troubles.map(String)).to.deep.equal(['Error: read-only'])
  })

  it('are claimed by nobody for long whose claim was made after it had gone on without', async () => {
    let release = (): void => undefined
    const setting = processes((table) => ({
      ...table,
      async claim(key, anew) {
        if (release.length === 0 && lookups() === 0) await new Promise<void>((resolve) => (release = resolve))
        return table.claim(key, anew)
      },
    }))
    const lookups = () => setting.lookups.length
    setting.answerWith((process) => (process === 'one' ? 'failed no answer' : 'good 1'))
    const first = told(setting.start('one'))
    await setting.clock.move(2000)
    expect(await first).to.equal('failed no answer, asked')
    release()
    await settled()
    expect(await setting.table('other').claim('test a', false)).to.include({ claim: 'ours' })
  })

  it('are not read where another release wrote what cannot be read', async () => {
    const setting = processes()
    const times = { ageMs: 0, refreshMs: HOUR_MS, freshMs: HOUR_MS, keepMs: HOUR_MS, failures: 0 }
    await setting.table('new release').store('test a', { text: '{"of": "another kind"}', ...times })
    expect(await told(setting.start('one'))).to.equal('good 1, asked')
  })

  it('are asked anew by one process, whatever is stored', async () => {
    const setting = processes()
    const [one, other] = [setting.start('one'), setting.start('other')]
    await one.get('a')
    setting.answerWith(() => 'good 2')
    expect((await other.get('a', { anew: true })).answer).to.equal('good 2')
    expect(await told(setting.start('third'))).to.equal('good 2, shared')
  })

  it('are not replaced by an older one, whose lookup took longer than its claim', async () => {
    const setting = processes()
    let release = (): void => undefined
    setting.answerWith((process) =>
      process === 'slow' ? new Promise((resolve) => (release = () => resolve('failed 503'))) : 'good 2',
    )
    const times = {
      ageMs: HOUR_MS,
      refreshMs: HOUR_MS / 2,
      freshMs: HOUR_MS,
      keepMs: 48 * HOUR_MS,
      failures: 0,
    }
    await setting.table('before').store('test a', { text: '"good 1"', ...times })
    const slow = setting.start('slow').get('a')
    await setting.clock.move(21_000)
    expect(await told(setting.start('quick'))).to.equal('good 2, asked')
    release()
    expect((await slow).answer).to.equal('good 1')
    expect(await told(setting.start('third'))).to.equal('good 2, shared')
  })
})
