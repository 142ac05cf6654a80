/**
 * What a gap still owes is the same whether its part of the log is there or was taken away piece by piece: compared with
 * the plainest possible reckoning, over random rooms, memberships and addressees.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { readGapRooms } from '../../../src/store/delivery/gap-rooms.ts'
import { countPending } from '../../../src/store/views/count-pending.ts'
import { countBacklogs } from '../../../src/store/upkeep/count-backlogs.ts'
import { findOwed } from '../../../src/store/delivery/wake-lists.ts'
import { event, HOUR, servers, type GivenEvent } from '../../ingest/ingest-world.ts'
import { makeRetentionWorld } from './retention-world.ts'

const SERVERS = ['a.example', 'b.example', 'c.example']
const ROOMS = ['!1:home.example', '!2:home.example', '!3:home.example']

type Step =
  | { do: 'event'; room: number; to: number[] | null; also: number[]; not: number[] }
  | { do: 'join' | 'leave'; room: number; server: number }
  | { do: 'a day passes' }
  | { do: 'is through'; server: number }

const room = fc.nat(ROOMS.length - 1)
const server = fc.nat(SERVERS.length - 1)
const some = fc.uniqueArray(server, { maxLength: 2 })
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('event' as const),
        room,
        to: fc.option(some, { freq: 4 }),
        also: some,
        not: some,
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('join' as const, 'leave' as const), room, server }),
    },
    { weight: 2, arbitrary: fc.constant({ do: 'a day passes' as const }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('is through' as const), server }) },
  ),
  { minLength: 5, maxLength: 40 },
)

describe('what a gap owes, as its part of the log goes', function () {
  this.timeout(400_000)
  it('is each room’s newest event to which the destination is entitled, and what was addressed to it alone', async () => {
    await fc.assert(fc.asyncProperty(steps, follow), { numRuns: 20, endOnFailure: true })
  })
})

/** Everything that was ever sent, and who was where: never forgotten. */
interface Sent {
  pos: number
  room: number
  id: string
  /** By server: whether it was in the room at that point, and whether the event was for it. */
  there: boolean[]
  entitled: boolean[]
}

async function follow(all: Step[]): Promise<void> {
  const world = await makeRetentionWorld()
  try {
    const sent: Sent[] = []
    const inRoom = ROOMS.map(() => SERVERS.map(() => false))
    // Every server is known from the start, and is owed what comes from then on.
    await world.take(SERVERS.map((name) => servers({ add: [name] }, '!elsewhere:home.example')))
    const through = SERVERS.map(() => SERVERS.length)
    for (const step of [...all, { do: 'a day passes' } as const]) {
      switch (step.do) {
        case 'event': {
          const { position, given } = await append(step)
          const listed = step.to ?? step.also
          sent.push({
            pos: position,
            room: step.room,
            id: given.event_id,
            there: [...inRoom[step.room]!],
            entitled: SERVERS.map(
              (_, n) =>
                listed.includes(n) || (inRoom[step.room]![n]! && step.to === null && !step.not.includes(n)),
            ),
          })
          break
        }
        case 'join':
        case 'leave': {
          const [name] = SERVERS.slice(step.server)
          const change = step.do === 'join' ? { add: [name] } : { remove: [name] }
          await world.take([servers(change, ROOMS[step.room])])
          inRoom[step.room]![step.server] = step.do === 'join'
          break
        }
        case 'is through': {
          const position = await world.head()
          const name = SERVERS[step.server]
          await world.rows('update destinations set position = $2 where name = $1', [name, position])
          await world.rows(
            'update gaps set closed_at = now_ms() where closed_at is null and destination = (select id from destinations where name = $1)',
            [name],
          )
          through[step.server] = position
          break
        }
        default:
          await world.passes(3 * HOUR)
          expect((await world.retain())?.waitsFor).to.equal(null)
          await compare(world, { sent, through })
      }
    }

    async function append({ room, to, also, not }: Extract<Step, { do: 'event' }>) {
      const names = (list: number[]) => list.map((n) => SERVERS[n]!)
      const audience = to === null ? { also_to: names(also), not_to: names(not) } : { to: names(to) }
      const given: GivenEvent = event({ room: ROOMS[room]!, also: audience })
      return { given, position: (await world.take([given])).position }
    }
  } finally {
    await world.close()
  }
}

async function compare(
  world: Awaited<ReturnType<typeof makeRetentionWorld>>,
  { sent, through }: { sent: Sent[]; through: number[] },
): Promise<void> {
  const floor = Number(await world.value('select log_floor from stream'))
  const needed = new Set<string>()
  await countBacklogs(world.pool, await findOwed(world.pool))
  for (const [n, name] of SERVERS.entries()) {
    const owed = owedTo(n, sent, through[n]!)
    for (const id of owed) needed.add(id)
    const { id, position, from, to, cursor } = await world.destination(name)
    if ((from as number | null) === null) {
      expect(owed, `${name} has no gap: it is owed nothing of what is gone`).to.deep.equal([])
      expect(position, name).to.be.at.least(floor)
      continue
    }
    const most = { rows: 100, bytes: 1e9 }
    const found = (await readGapRooms(world.pool, id, { from, to, cursor }, most)).pdus
    expect(
      found.map(({ eventId }) => eventId),
      name,
    ).to.deep.equal(owed)
    const { pdus } = await countPending(world.pool, id, 100)
    expect(pdus, `what ${name} is said to be owed`).to.equal(owed.length)
    const listed = await world.value('select pending_pdus from destinations where id = $1', [id])
    expect(listed, `what ${name} is said to be owed in lists`).to.equal(owed.length)
  }
  const { log, kept } = await world.holds()
  expect(log).to.deep.equal([])
  expect(new Set(kept), 'no more is kept than somebody is owed').to.deep.equal(needed)
}

function owedTo(n: number, sent: readonly Sent[], after: number): string[] {
  const mine = sent.filter(({ pos, entitled }) => pos > after && entitled[n]!)
  const newest = new Map(mine.filter(({ there }) => there[n]!).map(({ room, pos }) => [room, pos]))
  return mine.filter(({ room, pos, there }) => !there[n]! || newest.get(room) === pos).map(({ id }) => id)
}
