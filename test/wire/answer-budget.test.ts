import { expect } from 'chai'
import { makeAnswerBudget } from '../../src/wire/answer-budget.ts'
import { keepBody } from '../../src/wire/kept-body.ts'

const K = 1024

describe('the memory of all answers together', () => {
  it('the largest gives way, so one that has no more than an equal part never does', () => {
    const gone: string[] = []
    const budget = makeAnswerBudget(100)
    const share = (name: string) => budget.share(() => gone.push(name))
    const [small, large, other] = [share('small'), share('large'), share('other')]
    expect(small.hold(30)).to.equal(true)
    expect(large.hold(50)).to.equal(true)
    expect(other.hold(33)).to.equal(true)
    expect(gone).to.deep.equal(['large'])
    expect(large.hold(1), 'it holds nothing any more').to.equal(false)
    expect(budget.held).to.equal(63)
    expect(other.hold(200), 'who asks may be the largest').to.equal(false)
    expect(gone).to.deep.equal(['large', 'other'])
    expect(budget.held).to.equal(30)
    small.end()
    expect(budget.held).to.equal(0)
  })

  it('one that is complete does not give way any more, and counts until it is read', () => {
    const gone: string[] = []
    const budget = makeAnswerBudget(100)
    const complete = budget.share(() => gone.push('complete'))
    complete.hold(90)
    complete.keep()
    const next = budget.share(() => gone.push('next'))
    expect(next.hold(20)).to.equal(false)
    expect(gone).to.deep.equal(['next'])
    complete.end()
    expect(budget.held).to.equal(0)
  })

  it('a body in single bytes takes the memory of a body, not of what they came in', () => {
    const budget = makeAnswerBudget(1024 * K)
    const body = keepBody(budget, () => undefined)
    for (let i = 0; i < 20_000; i++) body.add(Buffer.alloc(64, i % 256).subarray(0, 1))
    expect(budget.held).to.be.below(64 * K)
    expect(body.all()).to.have.length(20_000)
    expect([...body.all().subarray(254, 258)]).to.deep.equal([254, 255, 0, 1])
    body.forget()
    expect(budget.held).to.equal(0)
  })

  it('one whose pieces are written over by nobody: what came first stays as it came', () => {
    const budget = makeAnswerBudget(1024 * K)
    const body = keepBody(budget, () => undefined)
    const first = Buffer.from('first----').subarray(0, 5)
    body.add(first)
    body.add(Buffer.from(' second'))
    expect(String(body.all())).to.equal('first second')
    expect(String(Buffer.from(first.buffer, first.byteOffset, 9))).to.equal('first----')
  })
})
