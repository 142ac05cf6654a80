/** Who is cut when a quick one waits, and who is not. Time is the test's own. */
import { expect } from 'chai'
import { makeBodies } from '../../src/deliver/body-memory.ts'
import { makeImpatience } from '../../src/deliver/impatience.ts'
import type { ServerName } from '../../src/matrix/ids.ts'
import { makePartGate } from '../../src/pace/part-gate.ts'
import type { Reach, Ready, SendFailed, SendResult } from '../../src/wire/send-result.ts'
import { ANSWERED, UNANSWERED } from './step-stage.ts'

const settled = () => new Promise((resolve) => setImmediate(resolve))
const FAILED: SendFailed = { ...(UNANSWERED as SendFailed), stage: 'aborted', handed: false }

function stage({ all = 8, recovering = 4, bytes = 1_000 } = {}) {
  const [place, dialling] = [makePartGate({ all, recovering }), makePartGate({ all, recovering })]
  const bodies = makeBodies(bytes)
  let time = 0
  const sleepers: (() => void)[] = []
  const clock = {
    monotonic: () => time,
    sleep: () => new Promise<void>((resolve) => void sleepers.push(resolve)),
  }
  const said: number[] = []
  const impatience = makeImpatience({ clock, place, dialling, bodies, onCut: (n) => void said.push(n) })
  /** A tick that came `ms` after the one before it. */
  const passes = async (ms: number) => {
    time += ms
    for (const wake of sleepers.splice(0)) wake()
    await settled()
  }
  const cut: string[] = []
  const ends = new Map<string, () => void>()
  /** One that was quick begins a request from a place that it has. */
  const begins = (name: string, size = 0) => {
    const leave = place.take('quick')
    const held = bodies.take({ part: 'quick', least: size, most: size })
    if (leave === null || held === null) throw new Error(`nothing is free for ${name}`)
    const ready: Ready = {
      ...{ kind: 'ready', wasIdle: true, connectMs: 0, giveBack: () => undefined },
      send: ({ mayBeCut }) =>
        new Promise<SendResult>((resolve) => {
          ends.set(name, () => resolve(ANSWERED))
          mayBeCut?.(() => {
            cut.push(name)
            resolve(UNANSWERED)
          })
        }),
    }
    const hurry = impatience.hurry(held)
    const request = { txnId: name, body: Buffer.alloc(0), eventIds: [], timeoutMs: 60_000 }
    void ready.send({ ...request, mayBeCut: hurry.begins }).finally(() => {
      hurry.ends()
      leave()
      held.end()
    })
  }
  const waits = (part: 'quick' | 'recovering' = 'quick') => {
    let came = false
    const ending = new AbortController()
    void impatience.waits(place.enter(part, ending.signal)).then((leave) => (came = leave !== null))
    return { came: () => came, givesUp: () => ending.abort() }
  }
  return { place, dialling, bodies, impatience, passes, cut, ends, begins, waits, said }
}

describe('those that hang, where others wait', () => {
  it('are left alone while nobody waits', async () => {
    const { begins, passes, cut } = stage()
    for (let i = 0; i < 8; i += 1) begins(`${i}`)
    await passes(100_000)
    expect(cut).to.deep.equal([])
  })

  it('are cut when they have taken two seconds, the oldest first, as many as wait and one in sixteen of the places', async () => {
    const { begins, passes, cut, waits, said } = stage()
    for (let i = 0; i < 8; i += 1) {
      begins(`${i}`)
      await passes(10)
    }
    const waiting = waits()
    await passes(50)
    expect(cut, 'not slow yet').to.deep.equal([])
    for (let i = 0; i < 38; i += 1) await passes(50)
    expect(cut, 'half of them are slow, which is their share').to.deep.equal([])
    await passes(50)
    expect([cut, waiting.came(), said]).to.deep.equal([['0', '1'], true, [2]])
    for (let i = 0; i < 40; i += 1) await passes(50)
    expect(cut, 'nobody waits any more').to.have.length(2)
  })

  it('keep what is the share of the slow, and those of it are not cut at all', async () => {
    const { place, begins, passes, cut, waits } = stage()
    for (let i = 0; i < 3; i += 1) place.take('recovering')
    for (let i = 0; i < 5; i += 1) begins(`${i}`)
    const many = Array.from({ length: 10 }, () => waits())
    for (let i = 0; i < 80; i += 1) await passes(50)
    // Three of the four that the slow may have are failing ones'.
    expect(cut).to.deep.equal(['0', '1', '2', '3'])
    expect(many.filter(({ came }) => came())).to.have.length(4)
  })

  it('are not cut for one of the share whose share is used up, and are where it is not', async () => {
    const { place, begins, passes, cut, waits } = stage({ all: 8, recovering: 2 })
    place.take('recovering')
    place.take('recovering')
    for (let i = 0; i < 6; i += 1) begins(`${i}`)
    waits('recovering')
    for (let i = 0; i < 80; i += 1) await passes(50)
    expect(cut).to.deep.equal([])
    place.resize({ all: 8, recovering: 3 })
    await passes(50)
    expect(cut).to.deep.equal(['0', '1'])
  })

  it('are not cut where this process itself was busy: their answers may be there', async () => {
    const { begins, passes, cut, waits } = stage()
    for (let i = 0; i < 8; i += 1) begins(`${i}`)
    waits()
    await passes(5_000)
    expect(cut).to.deep.equal([])
    await passes(50)
    expect(cut).to.deep.equal(['0', '1'])
  })

  it('that were answered meanwhile are forgotten', async () => {
    const { begins, ends, passes, cut, waits } = stage({ all: 3, recovering: 1 })
    for (const name of ['a', 'b', 'c']) begins(name)
    ends.get('a')?.()
    await settled()
    begins('d')
    waits()
    await passes(50)
    for (let i = 0; i < 40; i += 1) await passes(50)
    expect(cut.slice(0, 2)).to.deep.equal(['b', 'c'])
  })

  it('give memory up as well, where a quick one waits for that', async () => {
    const { bodies, impatience, begins, passes, cut } = stage({ all: 100, recovering: 50 })
    for (let i = 0; i < 4; i += 1) begins(`${i}`, 250)
    const wanted = { part: 'quick', least: 100, most: 100 } as const
    expect(bodies.take(wanted)).to.equal(null)
    let came = false
    void impatience.waits(bodies.enter(wanted)).then(() => (came = true))
    for (let i = 0; i < 41; i += 1) await passes(50)
    // They may hold half.
    expect([cut, came]).to.deep.equal([['0', '1'], true])
  })

  it('and dials, which fail then as others do', async () => {
    const { dialling, impatience, passes } = stage({ all: 2, recovering: 1 })
    const lease = new AbortController()
    const reach: Reach = {
      ...{ destination: 'd.example' as ServerName, stillHeld: () => true, signal: lease.signal },
    }
    const connect = ({ dial }: Reach) =>
      new Promise<SendFailed>((resolve) => dial?.addEventListener('abort', () => resolve(FAILED)))
    const ended: SendFailed[] = []
    for (let i = 0; i < 2; i += 1) {
      const leave = dialling.take('quick')
      const note = (how: Ready | SendFailed) => {
        if (how.kind === 'failed') ended.push(how)
        leave?.()
      }
      void impatience.connect({ connect }, reach).then(note)
    }
    void impatience.waits(dialling.enter('quick'))
    for (let i = 0; i < 41; i += 1) await passes(50)
    expect(ended.map(({ stage: how, handed }) => [how, handed])).to.deep.equal([['connect', false]])
    expect(ended[0]?.message).to.include('others waited for its place')
    lease.abort()
    await settled()
    expect(ended.at(-1)?.stage, 'cut off by us').to.equal('aborted')
  })
})
