import { expect } from 'chai'
import { makeBatcher, type BatcherNeeds } from '../../src/pace/batcher.ts'

/** A batcher whose batches end when the test says so; each call is answered with itself in upper case. */
function makeStage(more: Partial<BatcherNeeds<string, string>> = {}) {
  const batches: string[][] = []
  const ends: { resolve: (results: (string | Error)[]) => void; reject: (error: Error) => void }[] = []
  const batcher = makeBatcher<string, string>({
    run: (calls) => {
      batches.push(calls)
      return new Promise((resolve, reject) => ends.push({ resolve, reject }))
    },
    maxWeight: 10,
    ...more,
  })
  const settle = () => new Promise((resolve) => setImmediate(resolve))
  const next = async () => {
    await settle()
    const end = ends.shift()
    if (end === undefined) throw new Error('no batch is under way')
    return { end, calls: batches.at(-1) ?? [] }
  }
  return {
    batcher,
    batches,
    settle,
    answer: async (make: (call: string) => string | Error = (call) => call.toUpperCase()) => {
      const { end, calls } = await next()
      end.resolve(calls.map(make))
      await settle()
    },
    answerWith: async (results: (string | Error)[]) => {
      ;(await next()).end.resolve(results)
      await settle()
    },
    fail: async (error: Error) => {
      ;(await next()).end.reject(error)
      await settle()
    },
  }
}

const outcome = (call: Promise<string>) =>
  call.catch((error: unknown) => `failed: ${error instanceof Error ? error.message : String(error)}`)

describe('calls that come together', () => {
  it('share a batch when they come in one tick, and are each given their own answer', async () => {
    const { batcher, batches, answer } = makeStage()
    const calls = ['a', 'b', 'c'].map((call) => batcher.add(call))
    await answer()
    expect(batches).to.deep.equal([['a', 'b', 'c']])
    expect(await Promise.all(calls)).to.deep.equal(['A', 'B', 'C'])
  })

  it('share the next batch when they come while one is under way, never two at a time', async () => {
    const { batcher, batches, answer, settle } = makeStage()
    const first = batcher.add('a')
    await settle()
    const rest = [batcher.add('b'), batcher.add('c')]
    await settle()
    expect(batches).to.deep.equal([['a']])
    await answer()
    expect(batches).to.deep.equal([['a'], ['b', 'c']])
    await answer()
    expect(await Promise.all([first, ...rest])).to.deep.equal(['A', 'B', 'C'])
  })

  it('go at once after a quiet moment', async () => {
    const { batcher, batches, answer } = makeStage()
    await Promise.all([batcher.add('a'), answer()])
    await Promise.all([batcher.add('b'), answer()])
    expect(batches).to.deep.equal([['a'], ['b']])
  })

  it('fill batches by weight in their order; one that is too heavy for any goes alone', async () => {
    const { batcher, batches, answer } = makeStage({ maxWeight: 5, weigh: (call) => call.length })
    const calls = ['aa', 'bbb', 'c', 'ddddddddd', 'e', 'ffff', 'g'].map((call) => batcher.add(call))
    for (let n = 0; n < 5; n += 1) await answer()
    expect(batches).to.deep.equal([['aa', 'bbb'], ['c'], ['ddddddddd'], ['e', 'ffff'], ['g']])
    await Promise.all(calls)
  })

  it('are told apart when one fails, and fail together when the batch does; the next goes on', async () => {
    const { batcher, answer, fail, settle } = makeStage()
    const first = ['a', 'b'].map((call) => outcome(batcher.add(call)))
    await answer((call) => (call === 'a' ? new Error('a is bad') : 'B'))
    expect(await Promise.all(first)).to.deep.equal(['failed: a is bad', 'B'])
    const second = ['c', 'd'].map((call) => outcome(batcher.add(call)))
    await settle()
    const third = outcome(batcher.add('e'))
    await fail(new Error('no database'))
    await answer()
    expect(await Promise.all([...second, third])).to.deep.equal([
      'failed: no database',
      'failed: no database',
      'E',
    ])
  })

  it('are not left hanging by a batch that answers too little, or throws before it begins', async () => {
    const { batcher, answerWith } = makeStage()
    const calls = ['a', 'b'].map((call) => outcome(batcher.add(call)))
    await answerWith(['A'])
    expect(await Promise.all(calls)).to.deep.equal(['A', 'failed: a batch answered too little'])
    const throwing = makeStage({
      run: () => {
        throw new Error('at once')
      },
    }).batcher
    expect(await outcome(throwing.add('a'))).to.equal('failed: at once')
    expect(await outcome(throwing.add('b'))).to.equal('failed: at once')
  })

  it('are counted by weight while they wait, not while they are under way', async () => {
    const { batcher, answer, settle } = makeStage({ maxWeight: 4, weigh: (call) => call.length })
    expect(batcher.waiting()).to.equal(0)
    const calls = ['aaa', 'bb', 'cc'].map((call) => batcher.add(call))
    expect(batcher.waiting()).to.equal(7)
    await settle()
    expect(batcher.waiting()).to.equal(4)
    await answer()
    expect(batcher.waiting()).to.equal(0)
    await answer()
    await Promise.all(calls)
  })

  it('can be waited for: idle when nothing waits or is under way, failures or not', async () => {
    const { batcher, answer, fail, settle } = makeStage({ maxWeight: 1 })
    await batcher.idle()
    const calls = ['a', 'b'].map((call) => outcome(batcher.add(call)))
    let idle = false
    const waiting = batcher.idle().then(() => (idle = true))
    await answer()
    await settle()
    expect(idle).to.equal(false)
    await fail(new Error('bad'))
    await waiting
    expect(await Promise.all(calls)).to.deep.equal(['A', 'failed: bad'])
  })
})
