/** The crash tests' own judge: what it must find, planted. */
import { expect } from 'chai'
import type { ReceivedPdu } from '../../src/simulate/fleet/receiver.ts'
import type { LoggedTransaction } from '../../src/simulate/fleet/transaction-log.ts'
import { makeLedger } from './ledger.ts'
import { faultsOf, stillMissing } from './verdict.ts'

const R = '!room:home.example'

/** `a` and `d` are said while x is there, `b` (sticky) and `c` while it is not; then it joins again. */
function ledger() {
  const said = makeLedger()
  said.join(R, 'x')
  said.say(R, 'a', false)
  said.leave(R, 'x')
  said.say(R, 'b', true)
  said.say(R, 'c', false)
  said.join(R, 'x')
  said.say(R, 'd', false)
  return said
}

/** What a remote has that got these transactions. */
function remote(transactions: string[][], violations: string[] = []) {
  const received = new Map<string, ReceivedPdu>()
  for (const [index, ids] of transactions.entries())
    for (const eventId of ids) {
      const before = received.get(eventId)
      if (before !== undefined) before.times += 1
      else
        received.set(eventId, {
          eventId,
          roomId: R,
          txnId: `t${index}`,
          at: 0,
          order: received.size,
          times: 1,
        })
    }
  const logged = transactions.map((pduIds, index): LoggedTransaction => {
    const nothing = {
      sha256: null,
      body: null,
      bytes: 0,
      edus: 0,
      originServerTs: null,
      response: null,
      answered: true,
      forgiven: false,
    }
    return { txnId: `t${index}`, pduIds, requestsAt: [index], ...nothing }
  })
  return { serverName: 'x', received, transactions: logged, violations }
}

describe('the judge of the crash tests', () => {
  it('has nothing against the timeline in order and what the join brings, wherever that comes', () => {
    for (const transactions of [[['a', 'b', 'd']], [['a'], ['b'], ['d']], [['a'], ['d'], ['b']]]) {
      expect(stillMissing(remote(transactions), ledger())).to.deep.equal([])
      expect(faultsOf(remote(transactions), ledger())).to.deep.equal([])
    }
  })

  it('misses what was said in the room, and what a join brings unless the server has left again', () => {
    expect(stillMissing(remote([['a']]), ledger())).to.deep.equal(['d', 'b'])
    const left = ledger()
    left.leave(R, 'x')
    expect(stillMissing(remote([['a'], ['d']]), left)).to.deep.equal([])
    expect(faultsOf(remote([['a'], ['b'], ['d']]), left)).to.deep.equal([])
  })

  const faults: [string, string[][], RegExp][] = [
    ['what was not meant for it', [['a', 'b', 'c', 'd']], /^c was not meant for it$/],
    ['an order that is not the stream’s', [['d'], ['a'], ['b']], /^out of order: d came in the place of a$/],
    ['an event under two ids', [['a'], ['a', 'b'], ['d']], /^a \(plain\) came in 2 transactions, not 1/],
    [
      'a sticky event twice for one join',
      [
        ['a', 'b'],
        ['b', 'd'],
      ],
      /^b \(sticky\) came in 2 transactions, not 1/,
    ],
    ['a transaction out of order', [['a'], ['d', 'b']], /^t1 is not in stream order$/],
  ]
  for (const [what, transactions, fault] of faults)
    it(`finds ${what}`, () => {
      const found = faultsOf(remote(transactions), ledger())
      expect(
        found.filter((text) => fault.test(text)),
        found.join('\n'),
      ).to.have.length(1)
    })

  it('asks for the order within each room where one may wait for itself, and for none of what was set aside', () => {
    const other = '!other:home.example'
    const said = makeLedger()
    for (const room of [R, other]) said.join(room, 'x')
    for (const [id, room] of [
      ['a', R],
      ['b', other],
      ['c', R],
      ['d', other],
    ] as const)
      said.say(room, id, false)
    const came = (...ids: string[]) => {
      const it = remote(ids.map((id) => [id]))
      for (const [id, one] of it.received)
        it.received.set(id, { ...one, roomId: id === 'b' || id === 'd' ? other : R })
      return it
    }
    expect(faultsOf(came('b', 'd', 'a', 'c'), said)).to.have.length(1)
    expect(faultsOf(came('b', 'd', 'a', 'c'), said, { order: 'rooms' })).to.deep.equal([])
    const mixed = came('b', 'd', 'c', 'a')
    expect(faultsOf(mixed, said, { order: 'rooms' })).to.deep.equal([
      'out of order: c came in the place of a',
    ])
    const setAside = new Set(['a'])
    expect(faultsOf(mixed, said, { order: 'rooms', setAside })).to.deep.equal([])
  })

  it('passes on what the remote itself has noticed', () => {
    expect(faultsOf(remote([['a', 'b', 'd']], ['it came again with other bytes']), ledger())).to.deep.equal([
      'rule broken: it came again with other bytes',
    ])
  })
})
