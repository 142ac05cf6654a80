/** What waits for longer than anything may was written by a clock that was wrong: it is due. */
import { expect } from 'chai'
import { waitOfHalf } from '../../../src/deliver/rules/backoff.ts'
import { dueAside } from '../../../src/deliver/rules/halves.ts'
import { halfAt } from '../../../src/deliver/rules/isolation.ts'
import type { ApartRow, RoomRow } from '../../../src/store/delivery/apart.ts'

const NOW = 1_000_000_000
const DAY = 86_400_000
const limits = { maxPdus: 50, maxBytes: 1_000_000 }
const row = (nextAt: number | null): ApartRow => ({
  ...{ pos: 1, room: 1, lane: 't', grp: null, since: 0, tries: 0, nextAt, bytes: 10, expiresAt: null },
  ...{ member: true, odd: false },
})

describe('waits that a wrong clock has written', () => {
  it('what was set aside is tried', () => {
    expect(dueAside([row(NOW + DAY + 1)], [], NOW, limits).chosen?.rows).to.have.length(1)
    expect(dueAside([row(NOW + DAY)], [], NOW, limits)).to.deep.equal({ chosen: null, nextAt: NOW + DAY })
  })

  it('a room that is held is tried', () => {
    const room = (nextAt: number): RoomRow => ({
      ...{ room: 1, cursor: 0, heldSince: 1, tries: 0, nextAt, busy: true },
    })
    expect(dueAside([row(null)], [room(NOW + DAY + 1)], NOW, limits).chosen?.rows).to.have.length(1)
    expect(dueAside([row(null)], [room(NOW + DAY)], NOW, limits).chosen).to.equal(null)
  })

  it('a half of a search is sent', () => {
    const at = (waitUntil: number) => halfAt({ search: { steps: [], waitUntil } }, NOW, false)
    expect(at(NOW + DAY + 1)).to.equal(null)
    expect(at(NOW + DAY)).to.equal(NOW + DAY)
  })

  it('where the backoff is longer than a day, a half waits for a day', () => {
    const waitUntil = NOW + waitOfHalf(3, { first_ms: DAY, multiplier: 2, max_ms: 7 * DAY })
    expect(halfAt({ search: { steps: [], waitUntil } }, NOW, false)).to.equal(NOW + DAY)
  })
})
