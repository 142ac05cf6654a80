import { expect } from 'chai'
import fc from 'fast-check'
import { coalesce, type PendingEdu } from '../../../src/deliver/rules/coalesce.ts'

const NOW = 1_000_000

function edu(pos: number, change: Partial<PendingEdu> = {}): PendingEdu {
  return { pos, eduType: 'm.typing', key: null, expiresAt: NOW + 1, ...change }
}
const deviceList = (pos: number, user: string): PendingEdu =>
  edu(pos, { eduType: 'm.device_list_update', deviceListOf: user, expiresAt: null })

const whatGoes = (pending: readonly PendingEdu[]) => coalesce(pending, NOW).go.map(({ pos }) => pos)
const dropped = (pending: readonly PendingEdu[]) =>
  coalesce(pending, NOW).dropped.map(({ edu: { pos }, why }) => `${pos} ${why}`)

describe('EDUs that wait', () => {
  it('go in their order where nothing has happened meanwhile', () => {
    expect(coalesce([], NOW)).to.deep.equal({ go: [], dropped: [] })
    expect(whatGoes([edu(3), edu(7), edu(8, { expiresAt: null })])).to.deep.equal([3, 7, 8])
  })

  it('are not sent from the moment on at which their time is over', () => {
    const pending = [edu(1, { expiresAt: NOW + 1 }), edu(2, { expiresAt: NOW }), edu(3, { expiresAt: 0 })]
    expect(whatGoes(pending)).to.deep.equal([1])
    expect(dropped(pending)).to.deep.equal(['2 expired', '3 expired'])
  })

  it('give way to a later one of their type and key, and to no other', () => {
    const pending = [
      edu(1, { key: 'a' }),
      edu(2, { key: 'b' }),
      edu(3, { key: 'a', eduType: 'm.receipt' }),
      edu(4, { key: 'a' }),
      edu(5),
      edu(6),
    ]
    expect(whatGoes(pending)).to.deep.equal([2, 3, 4, 5, 6])
    expect(dropped(pending)).to.deep.equal(['1 replaced'])
  })

  it('say that someone has stopped typing though the typing after that is over', () => {
    const stopped = edu(1, { key: 'a', expiresAt: NOW + 60_000 })
    expect(whatGoes([stopped, edu(2, { key: 'a', expiresAt: NOW - 1 })])).to.deep.equal([1])
  })

  it('of one user up to 20 device lists go in their order, of more the newest', () => {
    const few = Array.from({ length: 20 }, (_, i) => deviceList(2 * i, '@a:b'))
    const [begin, end] = [deviceList(-1, '@a:b'), deviceList(99, '@a:b')]
    const others = [deviceList(1, '@c:b'), deviceList(3, '@c:b')]
    const between = (list: readonly PendingEdu[]) => [...list, ...others].sort((a, b) => a.pos - b.pos)
    expect(whatGoes(between(few))).to.deep.equal(between(few).map(({ pos }) => pos))
    expect(whatGoes(between([begin, ...few]))).to.deep.equal([1, 3, 38])
    expect(whatGoes(between([...few, end]))).to.deep.equal([1, 3, 99])
    expect(dropped([...few, end]))
      .to.have.lengthOf(20)
      .and.include('38 collapsed')
  })

  it('device lists whose time is over, or that a key replaces, are not counted', () => {
    const few = Array.from({ length: 20 }, (_, i) => deviceList(i, '@a:b'))
    const keyed = { ...deviceList(20, '@a:b'), key: 'k' }
    expect(whatGoes([...few, { ...deviceList(20, '@a:b'), expiresAt: 0 }])).to.have.lengthOf(20)
    expect(whatGoes([...few.slice(1), keyed, { ...keyed, pos: 21 }])).to.have.lengthOf(20)
  })

  it('are judged as if each was compared with all the others', () => {
    const pending = fc.array(
      fc.record({
        eduType: fc.constantFrom('m.typing', 'm.receipt'),
        key: fc.constantFrom(null, 'a', 'b', '__proto__'),
        expiresAt: fc.constantFrom(null, NOW - 1, NOW, NOW + 1),
        deviceListOf: fc.constantFrom(null, null, null, '@a:b'),
      }),
      { maxLength: 60 },
    )
    fc.assert(
      fc.property(pending, (list) => {
        const all = list.map((one, pos) => ({ ...one, pos }))
        const alive = all.filter(({ expiresAt }) => expiresAt === null || expiresAt > NOW)
        const last = alive.filter(
          (one) =>
            one.key === null ||
            !alive.some((b) => b.pos > one.pos && b.key === one.key && b.eduType === one.eduType),
        )
        const lists = last.filter(({ deviceListOf }) => deviceListOf !== null)
        const expected = last.filter(
          (one) => one.deviceListOf === null || lists.length <= 20 || one === lists.at(-1),
        )
        const result = coalesce(all, NOW)
        expect(result.go).to.deep.equal(expected)
        const both = [...result.go, ...result.dropped.map(({ edu }) => edu)]
        expect(both.sort((a, b) => a.pos - b.pos)).to.deep.equal(all)
      }),
    )
  })
})
