import { expect } from 'chai'
import { castOf } from '../../../src/simulate/story/cast.ts'
import { GATHERED, planStory } from '../../../src/simulate/story/plan.ts'
import type { StoryPlan, PlannedEvent } from '../../../src/simulate/story/plan.ts'
import { ROOM } from '../../../src/simulate/story/rooms.ts'

const USUAL = { servers: 40, rooms: 60, events: 3000, seed: 1 }
const SMALL = { servers: 6, rooms: 8, events: 200, seed: 1 }

describe('the plan of a story', () => {
  const eventsOf = ({ opening, outage, ending }: StoryPlan) =>
    [...opening, ...outage, ...ending].flat().filter((item): item is PlannedEvent => item.kind === 'event')

  it('is the same for the same seed, and another for another', () => {
    expect(planStory(USUAL)).to.deep.equal(planStory(USUAL))
    expect(planStory(USUAL)).to.not.deep.equal(planStory({ ...USUAL, seed: 2 }))
  })

  for (const sizes of [
    USUAL,
    SMALL,
    { ...SMALL, servers: 7, seed: 3 },
    { ...USUAL, servers: 200, rooms: 500, events: 5000 },
  ]) {
    describe(`of ${sizes.servers} servers, ${sizes.rooms} rooms and ${sizes.events} events`, () => {
      const plan = planStory(sizes)
      const { cast, rooms } = plan

      it('has exactly these sizes', () => {
        expect(rooms).to.have.length(sizes.rooms)
        expect(eventsOf(plan)).to.have.length(sizes.events)
        expect(rooms[ROOM.everybody]?.members).to.have.length(sizes.servers)
        const servers = rooms.flatMap(({ members }) => [...members])
        expect(Math.max(...servers)).to.be.below(sizes.servers)
      })

      it('keeps the outage longer than the threshold, and the oldest missed event in the quietest room', () => {
        const missed = plan.outage
          .flat()
          .filter((item) => item.kind === 'event')
          .filter(({ room, to }) => to?.includes(cast.away) ?? rooms[room]?.members.includes(cast.away))
        expect(missed.length).to.be.above(plan.thresholdPdus)
        expect(plan.thresholdPdus).to.be.above(2)
        expect(missed[0]).to.include({ room: ROOM.quiet, stickyMs: 1_800_000 })
        const said = eventsOf(plan).filter(({ room }) => room === ROOM.quiet)
        expect(said).to.have.length(3)
      })

      it('has the room that is joined late full before the join, and the joiner not in it', () => {
        const before = [...plan.opening, ...plan.outage].flat()
        const sticky = before.filter((item) => item.room === ROOM.gathering && item.kind === 'event')
        expect(sticky.filter((item) => item.kind === 'event' && item.stickyMs === 1_800_000)).to.have.length(
          GATHERED,
        )
        expect(rooms[ROOM.gathering]?.members).to.not.include(cast.joiner)
        const after = plan.ending.flat()
        expect(
          after.some(
            (item) => item.room === ROOM.gathering && item.kind === 'event' && item.stickyMs !== null,
          ),
        ).to.equal(false)
      })
    })
  }

  it('gives every part to a server of its own where there are enough', () => {
    expect(new Set(Object.values(castOf(8))).size).to.equal(8)
    expect(Math.max(...Object.values({ ...castOf(6) }))).to.equal(5)
  })
})
