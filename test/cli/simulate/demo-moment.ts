/**
 * A moment of the default demo, in the middle of the outage, as what draws the demo sees it: the plan is the real one, and
 * who is owed what follows from it. How far each server has got is made up, as it is on a machine with two cores.
 */
import { makeLive, type WatchedRun } from '../../../src/cli/simulate/live.ts'
import { parseSizes } from '../../../src/cli/simulate/options.ts'
import { planStory } from '../../../src/simulate/story/plan.ts'
import type { Batch } from '../../../src/simulate/story/plan.ts'
import { STORY_WORDS } from '../../../src/simulate/story/words.ts'
import { wayTo } from '../../../src/simulate/names/ways.ts'
import { makeClaims, owedByJoin } from '../../../src/simulate/verdict/claims.ts'

/** As `limpet simulate` has them. */
const SIZES = { servers: '40', rooms: '60', events: '3000', seed: '1' }
/** Of the outage's requests so many have been sent. */
const SENT = 15
const FIRST_PORT = 40_100
const TERMINAL = { isTTY: true, columns: 80, rows: 24 }

/** What the terminal is sent up to that moment. */
export async function drawMoment(): Promise<string> {
  const plan = planStory(parseSizes(SIZES))
  const { cast } = plan
  const names = Array.from({ length: plan.sizes.servers }, (_, index) => {
    const { way, host } = wayTo(index)
    return way === '1' || way === '2' ? `${host ?? '127.0.0.1'}:${FIRST_PORT + index}` : (host ?? '')
  })
  const claims = makeClaims()
  let events = 0
  const times = { at: 0, takenAt: 0 }
  const tell = (batches: readonly Batch[]) => {
    for (const item of batches.flat()) {
      const room = `!room${item.room}`
      if (item.kind === 'leave')
        claims.take({ kind: 'leave', room, servers: [names[item.server] ?? ''], ...times })
      else {
        const to = item.to?.map((index) => names[index] ?? '') ?? null
        claims.take({
          kind: 'event',
          room,
          eventId: `$${events++}`,
          stickyUntil: item.stickyMs,
          to,
          ...times,
        })
      }
    }
  }
  const owed = () => names.map((name) => claims.of(name).length + owedByJoin(claims, name, Infinity).length)
  for (const [room, { members }] of plan.rooms.entries())
    claims.take({
      kind: 'join',
      room: `!room${room}`,
      servers: members.map((index) => names[index] ?? ''),
      ...times,
    })
  tell(plan.opening)
  const whenItLeft = owed()
  tell(plan.outage.slice(0, SENT))

  const states = names.map((_, index) => {
    if (index === cast.dead || index === cast.away) return 'backing_off'
    return index === cast.slow || index % 9 === 5 ? 'sending' : 'idle'
  })
  const servers = owed().map((all, index) => {
    const inFlight = states[index] === 'sending' ? (index === cast.slow ? 9 : 4) : 0
    const size = index === cast.dead ? 0 : index === cast.away ? (whenItLeft[index] ?? 0) : all - inFlight
    const count =
      index === cast.dead
        ? 0
        : index === cast.away
          ? plan.opening.length
          : plan.opening.length + SENT - (index === cast.slow ? 9 : index % 4)
    const pduIds = Array.from({ length: inFlight }, () => '$')
    const transactions = Array.from({ length: count }, (_, n) => ({
      answered: n < count - 1 || inFlight === 0,
      pduIds,
    }))
    return { serverName: names[index] ?? '', received: { size }, transactions }
  })
  const destinations = names.map((destination, index) => ({ destination, state: states[index] }))
  const get = () => Promise.resolve({ destinations })
  const run = { plan, fleet: { servers }, traffic: { claims, events }, get } as unknown as WatchedRun

  let now = 0
  let drawn = ''
  const live = makeLive({ ...TERMINAL, write: (text) => (drawn += text) }, {}, () => now)
  live.tell(STORY_WORDS.sizes(plan.sizes))
  now = 3_100
  live.tell(STORY_WORDS.begins(plan.rooms.length, names[cast.dead] ?? ''))
  now = 12_600
  live.watch(run)
  // Its first question is answered at once.
  await new Promise((resolve) => setImmediate(resolve))
  live.tell(STORY_WORDS.goesAway(names[cast.away] ?? ''))
  live.end()
  return drawn
}
