/** Bytes in turn: who gets how many, who waits, and that nobody waits for ever. */
import { expect } from 'chai'
import fc from 'fast-check'
import { makeByteGate, type Bytes } from '../../src/pace/byte-gate.ts'

type Part = 'quick' | 'recovering'
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('the gate of bytes', () => {
  const make = (whole = 1_000, recovering = 500) => makeByteGate<Part>(whole, { quick: whole, recovering })
  const quick = (least: number, most = least) => ({ part: 'quick' as const, least, most })
  const recovering = (least: number, most = least) => ({ part: 'recovering' as const, least, most })

  /** What came to whom waits, by name, as soon as it does. */
  function waiters(gate: ReturnType<typeof make>) {
    const came = new Map<string, Bytes | null>()
    return {
      came,
      names: () => [...came.keys()],
      wait: (name: string, wanted: Parameters<typeof gate.enter>[0], signal?: AbortSignal) =>
        void gate.enter(wanted, signal).then((bytes) => came.set(name, bytes)),
    }
  }

  it('gives what is free, up to what is wanted, at once', () => {
    const gate = make()
    expect(gate.take(quick(100, 700))?.granted).to.equal(700)
    expect(gate.take(quick(100, 700))?.granted).to.equal(300)
    expect(gate.take(quick(100, 700))).to.equal(null)
    expect(gate.held()).to.equal(1_000)
  })

  it('takes back what is not needed, and what is not held any more; twice is once', () => {
    const gate = make()
    const bytes = gate.take(quick(100, 700))
    bytes?.keep(40)
    expect([bytes?.granted, gate.held()]).to.deep.equal([40, 40])
    bytes?.keep(60)
    expect([bytes?.granted, gate.held()]).to.deep.equal([60, 60])
    bytes?.end()
    bytes?.end()
    bytes?.keep(40)
    expect(gate.held()).to.equal(0)
  })

  it('may have more bytes, which those who wait get, and fewer, which nobody has to give back', async () => {
    const gate = make(100, 50)
    const first = gate.take(quick(100))
    const { wait, names } = waiters(gate)
    wait('a', quick(60))
    wait('b', recovering(60))
    gate.resize(220, { quick: 220, recovering: 110 })
    await settle()
    expect([names(), gate.held()]).to.deep.equal([['a', 'b'], 220])
    gate.resize(100, { quick: 100, recovering: 50 })
    wait('c', quick(10))
    first?.end()
    await settle()
    expect([names(), gate.held()], 'more than there may be now').to.deep.equal([['a', 'b'], 120])
    expect(gate.take(quick(1))).to.equal(null)
  })

  it('lets in who waits in their order; nobody slips in before them', async () => {
    const gate = make()
    const all = gate.take(quick(1_000))
    const { wait, names, came } = waiters(gate)
    wait('large', quick(600))
    wait('small', quick(10))
    all?.keep(500)
    await settle()
    expect(names()).to.deep.equal([])
    expect(gate.take(quick(10))).to.equal(null)
    all?.end()
    await settle()
    expect(names()).to.deep.equal(['large', 'small'])
    for (const bytes of came.values()) bytes?.end()
    expect(gate.held()).to.equal(0)
  })

  it('what is larger than the whole goes alone', async () => {
    const gate = make()
    const one = gate.take(quick(10))
    const { wait, names, came } = waiters(gate)
    wait('huge', recovering(5_000))
    wait('next', quick(10))
    await settle()
    expect(names()).to.deep.equal([])
    one?.end()
    await settle()
    expect(names()).to.deep.equal(['huge'])
    expect(gate.held()).to.equal(5_000)
    came.get('huge')?.end()
    await settle()
    expect(names()).to.deep.equal(['huge', 'next'])
  })

  it('those of one part take no more than its share, and hold up nobody of another', async () => {
    const gate = make()
    const first = gate.take(recovering(100, 1_000))
    expect(first?.granted).to.equal(500)
    const { wait, names } = waiters(gate)
    wait('recovering', recovering(100))
    expect(gate.take(quick(100, 300))?.granted).to.equal(300)
    wait('quick', quick(100, 300))
    await settle()
    expect(names()).to.deep.equal(['quick'])
    first?.end()
    await settle()
    expect(names()).to.deep.equal(['quick', 'recovering'])
  })

  it('who is cut off leaves, and those behind it go on', async () => {
    const gate = make()
    const held = gate.take(quick(950))
    const cut = new AbortController()
    const { wait, came } = waiters(gate)
    wait('cut off', quick(500), cut.signal)
    wait('behind', quick(50))
    cut.abort()
    await settle()
    expect(came.get('cut off')).to.equal(null)
    expect(came.get('behind')?.granted).to.equal(50)
    held?.end()
    wait('too late', quick(1), cut.signal)
    await settle()
    expect(came.get('too late')).to.equal(null)
    expect(gate.held()).to.equal(50)
  })

  it('whatever is asked for and in whatever order it ends: nothing is held beyond the whole but by one alone, and everybody gets its turn', async () => {
    const wanted = fc.record({
      part: fc.constantFrom<Part>('quick', 'recovering'),
      least: fc.integer({ min: 1, max: 1_500 }),
      more: fc.integer({ min: 0, max: 500 }),
      keeps: fc.double({ min: 0, max: 1, noNaN: true }),
      cutOff: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(wanted, { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 60 }),
        async (asked, order) => {
          const gate = make()
          const holding: { bytes: Bytes; part: Part }[] = []
          let done = 0
          const check = () => {
            const sum = (those: typeof holding) => those.reduce((n, { bytes }) => n + bytes.granted, 0)
            // Who gave everything back holds nothing: what is larger than the whole may be beside it.
            const some = holding.filter(({ bytes }) => bytes.granted > 0)
            const theirs = some.filter(({ part }) => part === 'recovering')
            expect(gate.held() <= 1_000 || some.length === 1, 'the whole').to.equal(true)
            expect(sum(theirs) <= 500 || theirs.length === 1, 'the share').to.equal(true)
            expect(sum(holding)).to.equal(gate.held())
          }
          for (const { part, least, more, keeps, cutOff } of asked) {
            const cut = new AbortController()
            void gate.enter({ part, least, most: least + more }, cut.signal).then((bytes) => {
              done += 1
              if (bytes === null) return
              holding.push({ bytes, part })
              bytes.keep(Math.ceil(bytes.granted * keeps))
            })
            if (cutOff) cut.abort()
          }
          for (let turn = 0; ; turn += 1) {
            await settle()
            check()
            if (holding.length === 0) break
            const [ends] = holding.splice((order[turn] ?? 0) % holding.length, 1)
            ends?.bytes.end()
          }
          expect(done).to.equal(asked.length)
          expect(gate.held()).to.equal(0)
        },
      ),
      {
        numRuns: 300,
        examples: [
          [
            [
              { part: 'quick', least: 1, more: 0, keeps: 0, cutOff: false },
              { part: 'quick', least: 1_001, more: 0, keeps: 1, cutOff: false },
            ],
            [],
          ],
        ],
      },
    )
  })
})
