import { expect } from 'chai'
import { makeTurns } from '../../src/wire/turns.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('what is read in a turn of the loop', () => {
  it('is so much, for all together, and as much again in the next', async () => {
    const turns = makeTurns(100)
    expect([turns.take(60), turns.take(60), turns.take(60)]).to.deep.equal([60, 40, 0])
    await turn()
    expect(turns.take(60)).to.equal(60)
  })

  it('those who wait come in their order, before anybody else, and no more than there is room for', async () => {
    const turns = makeTurns(100)
    turns.take(100)
    const order: string[] = []
    const wants = (name: string) => () => {
      order.push(name)
      turns.charge(100)
    }
    for (const name of ['a', 'b', 'c']) turns.next(wants(name))
    await turn()
    expect(order).to.deep.equal(['a'])
    expect(turns.take(1)).to.equal(0)
    turns.next(wants('d'))
    for (let i = 0; i < 5; i++) await turn()
    expect(order).to.deep.equal(['a', 'b', 'c', 'd'])
  })
})
