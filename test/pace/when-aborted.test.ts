import { expect } from 'chai'
import { getEventListeners } from 'node:events'
import { tellNoMore, tellOfAbort } from '../../src/pace/when-aborted.ts'

describe('those that a signal tells of its end', () => {
  const told: string[] = []
  const who = (name: string, more: () => void = () => undefined) => ({
    aborted: () => {
      told.push(name)
      more()
    },
  })
  beforeEach(() => told.splice(0))

  it('are told once, in the order in which they came; who has left is not', () => {
    const { signal, ...controller } = made()
    const [a, b, c] = [who('a'), who('b'), who('c')]
    for (const one of [a, b, c]) tellOfAbort(signal, one)
    tellNoMore(signal, b)
    tellNoMore(signal, who('never there'))
    tellNoMore(new AbortController().signal, a)
    controller.abort()
    controller.abort()
    expect(told).to.deep.equal(['a', 'c'])
  })

  it('take one listener together, however many come and go', () => {
    const { signal } = made()
    for (let i = 0; i < 100; i += 1) {
      const one = who('one')
      tellOfAbort(signal, one)
      if (i % 2 === 0) tellNoMore(signal, one)
    }
    expect(getEventListeners(signal, 'abort')).to.have.length(1)
  })

  it('are told each of their own signal', () => {
    const [one, other] = [made(), made()]
    tellOfAbort(one.signal, who('one'))
    tellOfAbort(other.signal, who('other'))
    other.abort()
    expect(told).to.deep.equal(['other'])
  })

  it('may leave, and others come, while they are told', () => {
    const { signal, ...controller } = made()
    const second = who('second')
    tellOfAbort(
      signal,
      who('first', () => {
        tellNoMore(signal, second)
        tellOfAbort(signal, who('too late'))
      }),
    )
    tellOfAbort(signal, second)
    tellOfAbort(signal, who('third'))
    controller.abort()
    expect(told).to.deep.equal(['first', 'third'])
    tellOfAbort(signal, who('much too late'))
    expect(told).to.have.length(2)
  })
})

function made(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}
