import { expect } from 'chai'
import { makeAtHand } from '../../src/deliver/wake/at-hand.ts'
import type { Turned } from '../../src/deliver/turned.ts'

interface Call {
  name: string
  end: (turned: Turned | Error) => void
}

function stage() {
  const queued: string[] = []
  const calls: Call[] = []
  const logged: string[] = []
  const stopping = new AbortController()
  let time = 0
  const note = (_about: object, message: string) => void logged.push(message)
  const log = { info: note, error: note } as never
  const atHand = makeAtHand({
    wake: (sleepers) => {
      queued.push(...sleepers.map(({ name, quick }) => `${name} ${String(quick)}`))
      return Promise.resolve()
    },
    turn: (name) =>
      new Promise((resolve, reject) => {
        calls.push({ name, end: (how) => (how instanceof Error ? reject(how) : resolve(how)) })
      }),
    isConnected: (name) => name.startsWith('near'),
    ...{ stopping: stopping.signal, cutting: new AbortController().signal, log },
    clock: { monotonic: () => time },
  })
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  const quick = (...names: string[]) => atHand.wake(names.map((name) => ({ name, quick: true })))
  const passes = (ms: number) => void (time += ms)
  return { atHand, queued, calls, logged, stopping, settled, quick, passes }
}

describe('those at hand', () => {
  it('are served at once, past all that wait in the queue; the others are woken through it', async () => {
    const { atHand, queued, calls } = stage()
    const sleepers = ['far', 'near 1', 'near 2'].map((name) => ({ name, quick: true }))
    await atHand.wake([...sleepers, { name: 'near 3', quick: false }])
    expect(calls.map(({ name }) => name)).to.deep.equal(['near 1', 'near 2'])
    expect(queued).to.deep.equal(['far true', 'near 3 false'])
  })

  it('that gave up their turn go on through the queue, in the one where they belong by then', async () => {
    const { queued, calls, settled, quick } = stage()
    await quick('near 1', 'near 2', 'near 3')
    calls[0]?.end({ again: true, quick: false })
    calls[1]?.end({ again: true })
    calls[2]?.end({ again: false })
    await settled()
    expect(queued).to.deep.equal(['near 1 false', 'near 2 true'])
  })

  it('that are being served are woken through the queue, so that no wake is lost', async () => {
    const { queued, calls, settled, quick } = stage()
    await quick('near 1')
    await quick('near 1')
    expect([calls.length, queued]).to.deep.equal([1, ['near 1 true']])
    calls[0]?.end({ again: false })
    await settled()
    await quick('near 1')
    expect(calls).to.have.length(2)
  })

  it('are no more than 64 at once', async () => {
    const { queued, calls, quick } = stage()
    await quick(...Array.from({ length: 100 }, (_, i) => `near ${i}`))
    expect([calls.length, queued.length]).to.deep.equal([64, 36])
  })

  it('are not behind 64 that hang: what has taken two seconds counts no more', async () => {
    const { queued, calls, quick, passes, settled } = stage()
    await quick(...Array.from({ length: 64 }, (_, i) => `near ${i}`))
    passes(1_999)
    await quick('near to it')
    expect([calls.length, queued]).to.deep.equal([64, ['near to it true']])
    passes(1)
    await quick('near to it')
    expect([calls.length, queued.length]).to.deep.equal([65, 1])
    calls[3]?.end({ again: false })
    await settled()
    await quick(...Array.from({ length: 64 }, (_, i) => `near as well ${i}`))
    expect([calls.length, queued.length]).to.deep.equal([65 + 63, 2])
  })

  it('whose turn fails are told of, and harm nobody', async () => {
    const { calls, logged, settled, quick, atHand } = stage()
    await quick('near 1')
    calls[0]?.end(new Error('no'))
    await settled()
    expect(logged).to.deep.equal(['a turn failed'])
    await atHand.ended()
  })

  it('are begun no more when the process stops, and what was begun is waited for', async () => {
    const { atHand, queued, calls, stopping, settled, quick } = stage()
    await quick('near 1')
    stopping.abort()
    await quick('near 2')
    expect([calls.length, queued]).to.deep.equal([1, ['near 2 true']])
    let ended = false
    const waited = atHand.ended().then(() => (ended = true))
    await settled()
    expect(ended).to.equal(false)
    calls[0]?.end({ again: false })
    await waited
  })
})
