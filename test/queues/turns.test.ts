/** Whose statement goes next, where there are fewer connections than statements. */
import { expect } from 'chai'
import { makeStatementTurns, rankOf, type Rank } from '../../queues/postgres-turns.ts'

describe('the turns of the queue on PostgreSQL', () => {
  it("are the renewals' first, then a job's end and another in turn; one that fails gives up its place", async () => {
    const turns = makeStatementTurns(1)
    const order: string[] = []
    let begin: () => void = () => undefined
    const first = turns.within('other', () => new Promise<void>((resolve) => (begin = resolve)))
    const go = (rank: Rank, name: string) =>
      turns.within(rank, () => {
        order.push(name)
        return name === 'end 2' ? Promise.reject(new Error('it fails')) : Promise.resolve()
      })
    const all = [
      ...[go('end', 'end 1'), go('end', 'end 2'), go('end', 'end 3'), go('end', 'end 4')],
      ...[go('other', 'wake 1'), go('other', 'wake 2'), go('renew', 'renewal')],
    ]
    begin()
    await first
    const ended = await Promise.allSettled(all)
    expect(order).to.deep.equal(['renewal', 'end 1', 'wake 1', 'end 2', 'wake 2', 'end 3', 'end 4'])
    expect(ended.filter(({ status }) => status === 'rejected')).to.have.length(1)
  })

  it('knows what BullMQ calls them', () => {
    const commands = ['extend_locks', 'extend_lock', 'move_to_completed_fetch', 'move_to_failed', 'add_flow']
    expect(commands.map(rankOf)).to.deep.equal(['renew', 'renew', 'end', 'end', 'other'])
  })
})
