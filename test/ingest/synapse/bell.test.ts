/** How often the source looks for what Synapse announces: until it is there, and not once more. */
import { expect } from 'chai'
import { systemClock } from '../../../src/pace/clock.ts'
import { announcedBy, makeBell } from '../../../src/ingest/synapse/bell.ts'

describe('what Synapse announces', () => {
  it('is the number of its event stream, and nothing of other streams', () => {
    expect(
      [
        'RDATA events master 7 ["ev",["$a","!r","m.room.message",null,null,null,null,false,false]]',
        'RDATA events master batch ["ev",[]]',
        'POSITION events master 5 9',
        'RDATA events x',
        'RDATA typing master 7 ["!r",[]]',
        'REMOTE_SERVER_UP b.example',
        'POSITION events_other master 1 2',
      ].map(announcedBy),
    ).to.deep.equal([7, undefined, 9, null, undefined, undefined, undefined])
  })
})

describe('the bell', () => {
  const never = new AbortController().signal

  /** How long each wait was, by a clock that moves with them. */
  function belled() {
    let now = 1_000
    const slept: number[] = []
    const bell = makeBell({
      ...systemClock,
      monotonic: () => now,
      sleep: (ms, signal) => {
        if (signal?.aborted !== true) {
          now += ms
          slept.push(ms)
        }
        return Promise.resolve()
      },
    })
    const sees = (head: number) => bell.look()(head)
    return { bell, slept, sees, wait: () => bell.wait(1_000, never), pass: (ms: number) => (now += ms) }
  }

  it('has looks follow each other quickly until what was announced is there', async () => {
    const { bell, slept, sees, wait } = belled()
    sees(6)
    bell.ring(7)
    for (const head of [6, 6, 7]) {
      sees(head)
      await wait()
    }
    expect(slept).to.deep.equal([50, 50, 1_000])
  })

  it('believes no number for longer than half a second', async () => {
    const { bell, slept, sees, wait } = belled()
    bell.ring(1_000_000)
    for (let i = 0; i < 12; i += 1) {
      sees(6)
      await wait()
    }
    expect(slept).to.deep.equal([...Array<number>(10).fill(50), 1_000, 1_000])
  })

  it('that says no number is answered by any news that a look after it finds', async () => {
    const { bell, slept, sees, wait } = belled()
    sees(6)
    const underWay = bell.look()
    bell.ring(null)
    underWay(7)
    await wait()
    sees(8)
    await wait()
    expect(slept).to.deep.equal([50, 1_000])
  })

  it('is not rung by what was seen already', async () => {
    const { bell, slept, sees, wait } = belled()
    sees(7)
    bell.ring(7)
    await wait()
    expect(slept).to.deep.equal([1_000])
  })

  it('is answered at once, and what rings within a moment of that is answered together', async () => {
    const slept: number[] = []
    let ring: () => void = () => undefined
    let now = 1_000
    const bell = makeBell({
      ...systemClock,
      monotonic: () => now,
      // While it waits, one rings, and another.
      sleep: (ms, signal) => {
        slept.push(ms)
        now += 10
        ring()
        expect(ms < 1_000 || signal?.aborted === true).to.equal(true)
        return Promise.resolve()
      },
    })
    bell.look()(7)
    ring = () => bell.ring(8)
    await bell.wait(1_000, never)
    expect(slept, 'the first').to.deep.equal([1_000])
    bell.look()(8)
    ring = () => {
      bell.ring(9)
      bell.ring(10)
    }
    await bell.wait(1_000, never)
    expect(slept, 'the next ones').to.deep.equal([1_000, 1_000, 40])
  })
})
