/** A crash between any two steps: the next look finds what was begun and ends as if nothing had happened. */
import { expect } from 'chai'
import type { RetentionStep } from '../../../src/store/upkeep/retention.ts'
import { event, HOUR, servers } from '../../ingest/ingest-world.ts'
import { makeRetentionWorld, type RetentionWorld } from './retention-world.ts'

class Crash extends Error {}

describe('retention that is cut off', function () {
  // Once for each step, from the beginning.
  this.timeout(400_000)
  let world: RetentionWorld
  beforeEach(async () => {
    world = await makeRetentionWorld()
  })
  afterEach(() => world.close())

  /** Two partitions to go, of which b and c are owed something and d is not. */
  async function twoDays() {
    await world.take([
      servers({ set: ['b.example', 'c.example'] }),
      servers({ set: ['d.example'] }, '!y:home.example'),
    ])
    for (let day = 0; day < 2; day += 1) {
      const events = Array.from({ length: 3 }, () => event())
      await world.take([...events, event({ also: { not_to: ['c.example'] } })])
      // As long as this is not old.
      await world.passes(HOUR * 0.75)
      await world.retain()
    }
    await world.passes(3 * HOUR)
  }
  const facts = async () => ({
    holds: await world.rows('select pos from events union all select -pos from kept_events order by 1'),
    partitions: await world.partitions(),
    destinations: await world.destinations(),
    gaps: await world.rows(
      'select destination, from_pos, to_pos, cursor, closed_at from gaps order by destination, to_pos',
    ),
    stream: await world.rows('select head, log_floor, log_end from stream'),
  })

  it('goes on where it was, whichever step was the last', async () => {
    await twoDays()
    const steps: RetentionStep[] = []
    await world.retain({ onStep: (step) => void steps.push(step) })
    // Where the head moved on, the next look makes the next partition.
    await world.retain()
    const whole = await facts()
    expect(whole.holds.length, 'something is kept').to.equal(2)
    expect(steps.filter((step) => step === 'drop')).to.have.length(2)

    for (const [last] of steps.entries()) {
      await world.close()
      world = await makeRetentionWorld()
      await twoDays()
      let made = 0
      const onStep = () => {
        if (made === last) throw new Crash()
        made += 1
      }
      await world.retain({ onStep }).then(
        () => expect.fail('it was to be cut off'),
        (error: unknown) => expect(error).to.be.instanceOf(Crash),
      )
      await world.retain()
      await world.retain()
      expect(await facts(), `cut off before step ${last}, ${steps[last] ?? ''}`).to.deep.equal(whole)
    }
  })
})
