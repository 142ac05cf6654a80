/** Which EDU is refused: the search by itself, held against destinations that refuse in every way. */
import { expect } from 'chai'
import { afterRefusedEdus, eduSearchAfterAnswer } from '../../../src/deliver/rules/edu-search.ts'
import type { EduSearch } from '../../../src/store/isolation.ts'

const at = { now: 1_000, interval: (failures: number) => failures * 10 }
const alone = { pdus: 0, parts: 1, gateway: false, pos: 1, durable: true, doubtful: 0 }

describe('a search for EDUs that are refused', () => {
  /** A lane of `n`, of which those in `bad` are refused, beside others that are taken: what it took, and in how many requests. */
  function find(n: number, bad: ReadonlySet<number>) {
    let search: EduSearch | undefined
    let lane = Array.from({ length: n }, (_, i) => i)
    const came: number[] = []
    const out: number[] = []
    let requests = 0
    while (lane.length > 0) {
      expect(requests).to.be.lessThan(1_000)
      requests += 1
      const sent = lane.slice(0, search?.most ?? n)
      const searched = search !== undefined
      if (search?.turn === 'other') search = eduSearchAfterAnswer(search, { parts: 0, searched: false })
      else if (sent.some((one) => bad.has(one))) {
        const after = afterRefusedEdus(search, { ...alone, parts: sent.length, pos: sent[0] ?? 0 }, at)
        search = after.search
        if (after.takesOut === 'sure') out.push(...sent)
        if (after.takesOut !== null) lane = lane.slice(sent.length)
      } else {
        came.push(...sent)
        lane = lane.slice(sent.length)
        search = eduSearchAfterAnswer(search, { parts: sent.length, searched })
      }
    }
    return { came, out, requests, search }
  }

  it('finds each, takes out no other, keeps the order, and ends', () => {
    for (let n = 1; n <= 100; n += 3)
      for (const bad of [[], [0], [n - 1], [n >> 1], [0, n - 1], [n >> 1, (n >> 1) + 1]]) {
        const set = new Set(bad)
        const { came, out } = find(n, set)
        expect(out).to.deep.equal([...set].filter((one) => one < n).sort((a, b) => a - b))
        expect(came).to.deep.equal(Array.from({ length: n }, (_, i) => i).filter((one) => !set.has(one)))
      }
  })

  it('takes a number of requests that grows with the logarithm', () => {
    const of = (n: number) => Math.max(...[0, n >> 1, n - 1].map((bad) => find(n, new Set([bad])).requests))
    expect(of(100)).to.be.lessThan(40)
    expect(of(1_000) - of(100)).to.be.lessThan(30)
  })

  it('is over when enough went at once', () => {
    expect(find(500, new Set([3])).search).to.equal(undefined)
  })

  it('concludes nothing where nothing else was answered, and waits longer each time', () => {
    const first = afterRefusedEdus(undefined, alone, at)
    expect(first).to.deep.include({ takesOut: null, backsOff: true })
    expect(first.search.waitUntil).to.equal(1_010)
    const third = afterRefusedEdus({ ...first.search, unsure: 2 }, { ...alone, durable: false }, at)
    expect(third).to.deep.include({ takesOut: null, backsOff: true })
    expect(third.search.waitUntil).to.equal(1_030)
  })

  it('lets a durable one out of the way after two tries in vain, and never more than two', () => {
    const first = afterRefusedEdus(undefined, alone, at)
    expect(afterRefusedEdus(first.search, alone, at).takesOut).to.equal('doubtful')
    expect(afterRefusedEdus(first.search, { ...alone, doubtful: 2 }, at).takesOut).to.equal(null)
  })

  it('believes a gateway only the third time', () => {
    let search = { ...afterRefusedEdus(undefined, { ...alone, gateway: true }, at).search, other: true }
    const took = []
    for (let i = 0; i < 2; i += 1) {
      const after = afterRefusedEdus(search, { ...alone, gateway: true }, at)
      took.push(after.takesOut)
      search = after.search
    }
    expect(took).to.deep.equal([null, 'sure'])
  })

  it('believes a gateway no sooner where nothing else was answered', () => {
    const took = []
    let search: EduSearch | undefined
    for (let i = 0; i < 3; i += 1) {
      const after = afterRefusedEdus(search, { ...alone, gateway: true }, at)
      took.push(after.takesOut)
      search = after.search
    }
    expect(took).to.deep.equal([null, null, 'doubtful'])
  })

  it('does not count what was refused of another', () => {
    const gateway = { ...alone, gateway: true }
    const { search } = afterRefusedEdus(undefined, { ...gateway, pos: 7, durable: false }, at)
    const second = afterRefusedEdus(search, { ...gateway, pos: 7, durable: false }, at)
    const other = eduSearchAfterAnswer(second.search, { parts: 0, searched: false })
    expect(afterRefusedEdus(other, gateway, at).takesOut).to.equal(null)
    const inVain = afterRefusedEdus(search, { ...alone, pos: 8 }, at)
    expect(inVain.takesOut).to.equal(null)
    expect(inVain.search.waitUntil, 'but the waits grow').to.equal(1_020)
  })

  it('takes none of the steps of an hour for what a gateway refuses', () => {
    const was = { ...afterRefusedEdus(undefined, { ...alone, parts: 2 }, at).search, other: true }
    expect(afterRefusedEdus(was, { ...alone, gateway: true }, at).search.steps).to.deep.equal(was.steps)
  })

  it('waits no longer for anything to come when something has', () => {
    const { search } = afterRefusedEdus(undefined, alone, at)
    expect(search.waitUntil).to.equal(1_010)
    expect(eduSearchAfterAnswer(search, { parts: 0, searched: false })?.waitUntil).to.equal(null)
  })

  it('parts EDUs from PDUs first, and says nothing of either', () => {
    const { search, takesOut } = afterRefusedEdus(undefined, { ...alone, pdus: 5, parts: 7 }, at)
    expect(takesOut).to.equal(null)
    expect(search.most).to.equal(7)
  })
})
