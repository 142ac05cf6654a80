import { expect } from 'chai'
import { getEventListeners, once } from 'node:events'
import { eitherSignal, makeSignalsUnder, within } from '../../src/pace/either-signal.ts'

describe('one signal of two', () => {
  for (const which of [0, 1] as const) {
    it(`aborts with the ${which === 0 ? 'first' : 'second'}, for its reason`, () => {
      const sources = [new AbortController(), new AbortController()] as const
      const { signal } = eitherSignal(sources[0].signal, sources[1].signal)
      expect(signal.aborted).to.equal(false)
      sources[which].abort('why')
      expect(signal.reason).to.equal('why')
    })
  }

  it('is aborted from the start where one of them is', () => {
    expect(eitherSignal(new AbortController().signal, AbortSignal.abort('why')).signal.reason).to.equal('why')
  })

  it('leaves nothing behind at those that live on', () => {
    const sources = [new AbortController(), new AbortController()] as const
    for (let n = 0; n < 100; n += 1) eitherSignal(sources[0].signal, sources[1].signal).forget()
    for (const { signal } of sources) expect(getEventListeners(signal, 'abort')).to.have.length(0)
  })

  it('aborts when the time is up, or before that with the one that lives on', async () => {
    const source = new AbortController()
    const late = within(source.signal, -1)
    await once(late.signal, 'abort')
    expect(source.signal.aborted).to.equal(false)
    const cut = within(source.signal, 60_000)
    source.abort('why')
    expect(cut.signal.reason).to.equal('why')
    for (const one of [late, cut]) one.forget()
  })

  it('forgets its time, too', async () => {
    const source = new AbortController()
    const forgotten = within(source.signal, 0)
    forgotten.forget()
    await once(within(source.signal, 1).signal, 'abort')
    expect(forgotten.signal.aborted).to.equal(false)
    expect(getEventListeners(source.signal, 'abort')).to.have.length(1)
  })

  it('is aborted by itself, too, and leaves the others alone', () => {
    const sources = [new AbortController(), new AbortController()] as const
    const one = eitherSignal(sources[0].signal, sources[1].signal)
    one.abort('why')
    sources[0].abort('late')
    expect(one.signal.reason).to.equal('why')
    expect(sources[1].signal.aborted).to.equal(false)
  })
})

describe('many signals under one', () => {
  it('abort with it, each by itself, and from the start where it is over; and cost it one listener', () => {
    const parent = new AbortController()
    const next = makeSignalsUnder(parent.signal)
    const [one, other, forgotten] = [next(), next(), next()]
    one.abort('alone')
    expect([one.signal.reason, other.signal.aborted]).to.deep.equal(['alone', false])
    forgotten.forget()
    expect(getEventListeners(parent.signal, 'abort')).to.have.length(1)
    parent.abort('all')
    expect([one, other, next()].map(({ signal }) => String(signal.reason))).to.deep.equal([
      'alone',
      'all',
      'all',
    ])
    expect(forgotten.signal.aborted).to.equal(false)
  })
})
