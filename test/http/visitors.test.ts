import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { expect } from 'chai'
import { makeVisitors } from '../../src/http/visitors.ts'
import type { Visitors } from '../../src/http/visitors.ts'

class FakeSocket extends EventEmitter {
  destroyed = false
  destroy() {
    this.destroyed = true
    this.emit('close')
  }
}

describe('who may keep a connection', () => {
  let now: number
  let visitors: Visitors
  beforeEach(() => {
    now = 0
    visitors = makeVisitors({ most: 3, now: () => now })
  })
  const come = () => {
    now += 1
    const socket = new FakeSocket()
    const given = socket as unknown as Socket
    visitors.came(given)
    return Object.assign(socket, {
      ask: ({ known = false } = {}) => {
        const over = visitors.asked(given)
        if (known) visitors.recognise(given)
        return over
      },
    })
  }
  const left = (...sockets: FakeSocket[]) => sockets.map(({ destroyed }) => !destroyed)

  it('the longest silent stranger goes first', () => {
    const [a, b, c] = [come(), come(), come()]
    a.ask()()
    const d = come()
    expect(left(a, b, c, d)).to.deep.equal([true, false, true, true])
    expect(visitors.counts()).to.include({ silent: 3, asking: 0 })
  })

  it('then a stranger who is being answered, then a silent acquaintance; one who is served stays', () => {
    const [a, b, c] = [come(), come(), come()]
    a.ask({ known: true })
    b.ask({ known: true })()
    c.ask()
    const d = come()
    expect(left(a, b, c, d)).to.deep.equal([true, true, false, true])
    d.ask({ known: true })
    const e = come()
    expect(left(a, b, d, e)).to.deep.equal([true, false, true, true])
    e.ask({ known: true })
    const f = come()
    expect(left(a, d, e, f)).to.deep.equal([true, true, true, false])
    expect(visitors.counts()).to.deep.equal({ silent: 0, asking: 0, known: 0, served: 3 })
  })

  it('one that asks again without a token is a stranger again', () => {
    const a = come()
    a.ask({ known: true })()
    expect(visitors.counts()).to.include({ known: 1 })
    a.ask()()
    expect(visitors.counts()).to.include({ known: 0, silent: 1 })
  })

  it('strangers go when they are silent for ten seconds, or take a minute for an answer', () => {
    const [a, b, c] = [come(), come(), come()]
    b.ask()
    c.ask({ known: true })()
    now = 10_001
    visitors.sweep()
    expect(left(a, b, c)).to.deep.equal([false, true, true])
    now = 60_010
    visitors.sweep()
    expect(left(b, c)).to.deep.equal([false, true])
  })

  it('a stranger that was answered may be silent until the server itself ends its connection', () => {
    const [a, b] = [come(), come()]
    a.ask()()
    b.ask()()
    now = 70_000
    visitors.sweep()
    expect(left(a, b)).to.deep.equal([true, true])
    // It gives way before anybody else all the same.
    const [c, d] = [come(), come()]
    expect(left(a, b, c, d)).to.deep.equal([false, true, true, true])
    now = 75_010
    visitors.sweep()
    expect(left(b, c, d)).to.deep.equal([false, true, true])
  })

  it('forgets who has gone', () => {
    const a = come()
    const over = a.ask()
    a.destroy()
    over()
    expect(visitors.counts()).to.deep.equal({ silent: 0, asking: 0, known: 0, served: 0 })
  })
})
