/**
 * The story as it happens: three acts of traffic, and between them what befalls the servers.
 *
 * It waits for what it can see at the servers, never for a time alone, so that a slow machine only takes
 * longer. What it waits for in vain is left to the verdict.
 */
import type { Clock } from '../clock.ts'
import type { Fleet } from './fleet.ts'
import { BRIEF_MS, GATHERED } from './story-plan.ts'
import type { Batch, Plan } from './story-plan.ts'
import { ROOM } from './story-rooms.ts'
import type { Traffic } from './traffic.ts'
import { judgeServer } from './verdict.ts'
import type { Rules } from './verdict.ts'

export interface StoryNeeds {
  readonly plan: Plan
  readonly fleet: Fleet
  readonly traffic: Traffic
  readonly clock: Clock
  /** `catch_up.min_age_ms` of the daemon. */
  readonly minAgeMs: number
  /** Told of each thing that happens, in one line. */
  readonly tell: (line: string) => void
  /** Aborts when nobody wants to see the end. */
  readonly signal: AbortSignal
}

/** Between two requests of traffic, ms. */
const PACE_MS = 150
const LOOK_MS = 100
/** The longest wait for anything, ms. */
const PATIENCE_MS = 60_000

/** Tells the story and returns the rules that its verdict goes by. */
export async function runStory(needs: StoryNeeds): Promise<Rules> {
  const { plan, fleet, traffic, clock, minAgeMs, tell, signal } = needs
  const { cast, rooms } = plan
  const [away, joiner, dead] = [fleet.at(cast.away), fleet.at(cast.joiner), fleet.at(cast.dead)]
  const quietJoins = [{ server: joiner.serverName, room: traffic.roomId(ROOM.gathering) }]
  const rules = (): Rules => ({
    thresholdPdus: plan.thresholdPdus,
    minAgeMs,
    endedAt: clock.now(),
    dead: new Set([dead.serverName]),
    quietJoins,
  })
  const pause = async (ms: number) => {
    await clock.sleep(ms, signal)
    signal.throwIfAborted()
  }
  const act = async (batches: readonly Batch[]) => {
    for (const batch of batches) {
      await traffic.send(batch)
      await pause(PACE_MS)
    }
  }
  /** Waits until these servers have all that they are owed so far, and have answered for it. */
  const settled = async (servers: readonly { serverName: string }[], what: string) => {
    const waiting = new Set(servers.map(({ serverName }) => serverName))
    const until = clock.monotonic() + PATIENCE_MS
    while (clock.monotonic() < until) {
      for (const server of fleet.servers) {
        if (!waiting.has(server.serverName)) continue
        const { missing } = judgeServer(traffic.claims, server, { ...rules(), quietJoins: [] })
        const answered = server.transactions.every((transaction) => transaction.answered)
        if (missing.length === 0 && answered) waiting.delete(server.serverName)
      }
      if (waiting.size === 0) return
      await pause(LOOK_MS)
    }
    tell(`after ${PATIENCE_MS / 1000} s ${what} is still not so: ${[...waiting].join(', ')}`)
  }

  await dead.stop()
  await traffic.join(rooms.map(({ members }, room) => ({ room, servers: members })))
  tell(`traffic begins: ${rooms.length} rooms; ${dead.serverName} is dead and stays so`)
  await act(plan.opening)

  await settled([away], 'the server that goes away has all so far')
  await away.stop()
  const left = clock.monotonic()
  tell(`${away.serverName} goes away; traffic goes on, with sticky events for it`)
  await act(plan.outage)
  await pause(Math.max(0, left + Math.max(minAgeMs, BRIEF_MS) + 1000 - clock.monotonic()))

  const seconds = Math.round((clock.monotonic() - left) / 1000)
  tell(`${away.serverName} comes back after ${seconds} s; traffic pauses while it catches up`)
  await away.restart()
  await settled([away, joiner], 'the server that was away has caught up')

  tell(`${joiner.serverName} joins a room with ${GATHERED} sticky events from before`)
  await traffic.join([{ room: ROOM.gathering, servers: [cast.joiner] }])
  await settled([joiner], 'the joined server has the sticky events')

  tell('traffic goes on')
  await act(plan.ending)
  tell('traffic ends; everybody gets the rest')
  await settled(
    fleet.servers.filter((server) => server !== dead),
    'everybody has everything',
  )
  return rules()
}
