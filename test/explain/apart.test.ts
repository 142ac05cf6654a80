/** What is told of an event that is apart, or whose room waits: in which order what is known of it counts. */
import { expect } from 'chai'
import { fateOf, type FateFacts } from '../../src/explain/event-fate.ts'
import type { DestinationRow } from '../../src/store/views/destination-row.ts'
import type { ApartFact, EventRow, WaitFact } from '../../src/store/views/event-facts.ts'

const NOW = 1_000_000
const POS = 5
const event: EventRow = {
  ...{ pos: POS, room: 1, room_id: '!r:us', event_id: '$5', sender: '@a:us', received_ts: 1 },
  ...{ sticky_until: null, exact: null, list: null, less: null },
}
const apart: ApartFact = {
  ...{
    destination: 1,
    pos: POS,
    lane: 't',
    grp: null,
    since: 10,
    tries: 0,
    next_at: 2_000_000,
    message: null,
  },
}
const wait: WaitFact = { destination: 1, room: 1, cursor: 4, held_since: 20, next_at: 3_000_000 }
const searching = { ...wait, held_since: null, next_at: null }
const replay = {
  ...{ destination: 1, pos: POS, state: 'sent', listed_at: 9, tries: 0, next_at: null, at: 7 },
}

const known = (over: Partial<FateFacts>): FateFacts => ({
  destination: { id: 1, name: 'd.example', position: 9, lists: true } as DestinationRow,
  ...{ addressed: false, leftOut: false, intervals: [{ room: 1, destination: 1, since: 0, until: null }] },
  ...{ gaps: [], replay: null, owed: [], open: null, skips: [], carried: [], overtaken: false },
  ...{ apart: null, wait: null, givenUp: null },
  ...over,
})
const told = (over: Partial<FateFacts>, of: EventRow = event) => fateOf(of, known(over), NOW)
const open = { destination: 1, txn_id: 'txn', started_at: 8, positions: [POS], lanes: 'S' }
const carried = [{ destination: 1, txn_id: 'old', at: 6, lane: 't', error: null, unlisted: false }]
const givenUp = { destination: 1, pos: POS, who: 'alice', at: 11 }

describe('the fate of an event that was refused', () => {
  it('is set aside, wherever the position is; with its number of tries', () => {
    expect(told({ apart })).to.deep.equal({
      ...{ outcome: 'set_aside', as: 'timeline', txn_id: null, at: 10 },
      why: 'it was refused; it is tried alone, next at 1970-01-01T00:33:20.000Z',
    })
    expect(told({ apart: { ...apart, tries: 1, next_at: null, message: 'no' } }).why).to.equal(
      'it was refused (no), and tried once since; it is tried alone',
    )
  })

  it('is set aside with its room, where that is held and it has no time of its own', () => {
    const with_room = { apart: { ...apart, next_at: null, message: 'no' }, wait }
    expect(told(with_room)).to.include({ outcome: 'set_aside' })
    expect(told(with_room).why).to.match(/they are tried together, next at 1970-01-01T00:50/)
    // One that waits there, and was never refused.
    expect(told({ apart: { ...apart, next_at: null }, wait })).to.include({ outcome: 'held', at: 20 })
    // A sticky event of a held room is tried alone.
    expect(told({ apart, wait }).why).to.match(/it is tried alone, next at 1970-01-01T00:33/)
  })

  it('is pending while it is searched, and in a transaction before everything else', () => {
    expect(told({ apart: { ...apart, grp: 2 }, wait: searching })).to.include({
      outcome: 'pending',
      txn_id: null,
    })
    expect(told({ apart, wait, open, carried })).to.include({
      ...{ outcome: 'pending', as: 'sticky_replay', txn_id: 'txn', at: 8 },
    })
  })

  it('is held, or pending, with its room: after the cursor of that, and not before', () => {
    expect(told({ wait })).to.include({ outcome: 'held', as: 'timeline', at: 20 })
    expect(told({ wait: searching })).to.include({ outcome: 'pending', waits: true })
    expect(told({ wait: { ...wait, cursor: POS } })).to.include({ outcome: 'delivered' })
    // What arrived did so, and what was never its own is not.
    expect(told({ wait, carried })).to.include({ outcome: 'delivered', txn_id: 'old' })
    expect(told({ wait, replay })).to.include({ outcome: 'delivered' })
    expect(told({ wait, leftOut: true })).to.include({ outcome: 'not_entitled' })
  })

  it('is held with its room also as a sticky event that a join owes', () => {
    const sticky = { ...event, sticky_until: NOW + 1 }
    const owed = [{ destination: 1, room: 1, after_pos: 0, upto: 8, cursor: 0 }]
    const intervals = [{ room: 1, destination: 1, since: 8, until: null }]
    expect(told({ owed, intervals }, sticky)).to.include({ outcome: 'pending', as: 'sticky_replay' })
    expect(told({ owed, intervals, wait }, sticky)).to.include({ outcome: 'held', as: 'sticky_replay' })
  })

  it('is given up, though a drop counts as sent for the lanes; not where an answer listed it', () => {
    expect(told({ givenUp, replay })).to.deep.equal({
      ...{ outcome: 'given_up', as: null, txn_id: null, at: 11 },
      why: 'it was refused and set aside, and an operator (alice) gave it up',
    })
    expect(told({ givenUp, replay, wait })).to.include({ outcome: 'given_up' })
    expect(told({ givenUp, replay, carried })).to.include({ outcome: 'delivered' })
  })
})
