/**
 * What a holder reads and writes of one destination costs the same however many its worker holds. PostgreSQL's statistics
 * are of a moment when it held few: by the index of who holds what, each statement read the entries of them all.
 */
import { expect } from 'chai'
import { beginToFollow, releaseFollowers, stopFollowing } from '../../../src/store/delivery/follow-flag.ts'
import { giveWay, releaseAbandoned } from '../../../src/store/delivery/leases.ts'
import { writeAttemptResults } from '../../../src/store/delivery/results.ts'
import { findConcerned } from '../../../src/store/delivery/wake-lists.ts'
import { failedResult } from '../../support/attempt-result.ts'
import { holdMany, WORKER, type HeldDestinations } from '../../support/held-destinations.ts'
import { loadDestination, releaseDestination, takeDestination } from '../../support/one.ts'
import { costed, sumOf, type CostedDb } from '../../support/plans.ts'

const MANY = 5_000
const MOST = 150
const HELD = { worker: WORKER, destination: 7, fence: 1 }
const FOLLOWING = { held: HELD, wakeSeq: 0, position: 0, narrowedSeq: 0, durablePos: 0, ephemeralPos: 0 }

const WAYS: Record<string, (db: CostedDb) => Promise<unknown>> = {
  take: (db) => takeDestination(db, WORKER, '7.example'),
  'look at': (db) => loadDestination(db, HELD),
  'write the result of an attempt at': (db) => writeAttemptResults(db, [failedResult(HELD)]),
  'let go of': (db) => releaseDestination(db, HELD),
  'give way for': (db) => giveWay(db, HELD, 1),
  'begin to follow': (db) => beginToFollow(db, [FOLLOWING]),
  'stop to follow': (db) => stopFollowing(db, HELD),
  'let go of a followed': (db) => releaseFollowers(db, [FOLLOWING]),
  'give back an abandoned': (db) => releaseAbandoned(db, HELD, 1),
}

describe(`of a worker that holds ${MANY} destinations`, () => {
  let held: HeldDestinations
  beforeEach(async () => {
    held = await holdMany(MANY)
  })
  afterEach(() => held.end())

  for (const [what, ask] of Object.entries(WAYS))
    it(`to ${what} one reads fewer than ${MOST} pages`, async () => {
      const db = costed(held.client)
      await ask(db)
      expect(sumOf(db.costs()).blocks).to.be.within(1, MOST)
    })
})

describe('of followed destinations', () => {
  let held: HeldDestinations
  beforeEach(async () => {
    held = await holdMany(500, { analyzed: false })
  })
  afterEach(() => held.end())

  // In a new database it was asked for each of them whether its worker lives: half of what new events cost.
  it('new events find those that are not, and ask once who lives', async () => {
    const { client } = held
    await client.query('update destinations set follows = true')
    await client.query(`insert into rooms (id, room_id, head) values (1, '!r', 20)`)
    await client.query('insert into memberships (room, destination, since) select 1, id, 0 from destinations')
    await client.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select i, 1, 'e' || i, '@a:b', '{}', 0 from generate_series(1, 20) i`,
    )
    const db = costed(client)
    expect(await findConcerned(db, 0, 20)).to.deep.equal([])
    expect(sumOf(db.costs()).blocks).to.be.within(1, MOST)
  })
})
