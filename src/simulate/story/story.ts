/**
 * Runs the story: three acts of traffic, and between them what happens to the servers.
 *
 * It waits for what it can see at the servers, never for a time alone, so a slow machine only takes longer. If it
 * waits for something in vain, the verdict says so.
 */
import type { Clock } from '../../pace/clock.ts'
import type { FakeHomeserver } from '../fleet/fake-homeserver.ts'
import type { Fleet } from '../fleet/fleet.ts'
import { BRIEF_MS } from './plan.ts'
import type { Batch, StoryPlan } from './plan.ts'
import type { EduTalk } from './edu-talk.ts'
import { makePace } from './pace.ts'
import { ROOM } from './rooms.ts'
import { STORY_WORDS } from './words.ts'
import type { Traffic } from '../fleet/traffic.ts'
import { judgeEdus } from '../verdict/edus.ts'
import { judgeServer } from '../verdict/verdict.ts'
import type { Rules } from '../verdict/verdict.ts'

export interface StoryNeeds {
  readonly plan: StoryPlan
  readonly fleet: Fleet
  readonly traffic: Traffic
  readonly clock: Clock
  /** Traffic of EDUs beside that of events; none: there is none. */
  readonly edus?: EduTalk
  /** `catch_up.min_age_ms` of the daemon. */
  readonly minAgeMs: number
  /** Told of each thing that happens, in one line. */
  readonly tell: (line: string) => void
  /** Aborts when nobody wants to see the end. */
  readonly signal: AbortSignal
}

/** Between two requests of traffic at least, ms. */
const PACE_MS = 150
/** EDUs with each request of traffic. */
const EDUS = 20
/** Of so many requests one has its EDUs in a request behind it, so that some go without events. */
const EDUS_APART = 5
/** For how long it is sent that someone types, s: no EDU has a shorter life. */
const TYPING_S = 60
/** A server for which more than a full transaction waits is waited for. */
const MOST_WAITING = 50
const LOOK_MS = 50
/** A server that has got nothing new for so long is asked about, ms. */
const QUIET_MS = 250
/** The longest wait without any progress, ms. */
const PATIENCE_MS = 60_000

/** Tells the story and returns the rules that its verdict goes by. */
export async function runStory(needs: StoryNeeds): Promise<Rules> {
  const { plan, fleet, traffic, clock, edus, minAgeMs, tell, signal } = needs
  const { cast, rooms } = plan
  const [away, joiner, dead] = [fleet.at(cast.away), fleet.at(cast.joiner), fleet.at(cast.dead)]
  const present = new Set(fleet.servers.map(({ serverName }) => serverName))
  const pace = makePace(traffic.claims, fleet.servers)
  const rules = (quietJoins: Rules['quietJoins']): Rules => ({
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
  /** Looks again and again, until it is so or nothing has changed for too long. */
  const patiently = async (state: () => string): Promise<boolean> => {
    let last = ''
    let since = clock.monotonic()
    for (let now = state(); now !== ''; now = state()) {
      if (now !== last) since = clock.monotonic()
      else if (clock.monotonic() - since > PATIENCE_MS) return false
      last = now
      await pause(LOOK_MS)
    }
    return true
  }
  const act = async (batches: readonly Batch[]) => {
    for (const [n, batch] of batches.entries()) {
      const said = edus?.say(EDUS) ?? []
      const together = n % EDUS_APART > 0
      await traffic.send(batch, together ? said : [])
      if (!together && said.length > 0) await traffic.say(said)
      await pause(PACE_MS)
      const late = () => [...present].filter((server) => pace.waiting(server) > MOST_WAITING)
      const shown = () => late().flatMap((server) => `${server} ${pace.waiting(server)}`)
      if (await patiently(() => shown().join())) continue
      for (const server of late()) present.delete(server)
    }
  }
  /** Servers that were away for longer than the shortest life of an EDU, as they are on a slow machine. */
  const lossy = new Set<string>()
  /** EDUs that it has not got yet. */
  const openEdus = (server: FakeHomeserver) => {
    if (edus === undefined) return 0
    const { missing, stale } = judgeEdus(traffic.eduClaims, server, { dead: new Set(), lossy })
    return missing.length + stale.length
  }
  /** Waits until these servers have all that they are owed so far, and have answered for it. */
  const settled = async (servers: readonly FakeHomeserver[], what: string) => {
    const open = new Map(servers.map((server) => [server, { count: -1, since: 0, judged: false }]))
    const done = await patiently(() => {
      for (const [server, one] of open) {
        const count = server.transactions.length
        const now = clock.monotonic()
        if (count !== one.count) Object.assign(one, { count, since: now, judged: false })
        // Judging takes its time, so each silence is judged once.
        if (one.judged || now - one.since < QUIET_MS || !pace.answered(server.serverName)) continue
        one.judged = true
        if (judgeServer(traffic.claims, server, rules([])).missing.length + openEdus(server) === 0)
          open.delete(server)
      }
      return [...open].map(([{ serverName }, { count }]) => `${serverName} ${count}`).join()
    })
    if (!done) tell(`after ${PATIENCE_MS / 1000} s without a change this is still not true: ${what}`)
  }

  await dead.stop()
  present.delete(dead.serverName)
  await traffic.join(rooms.map(({ members }, room) => ({ room, servers: members })))
  tell(STORY_WORDS.begins(rooms.length, dead.serverName))
  await act(plan.opening)

  await settled([away], 'the server that goes away has everything so far')
  await away.stop()
  present.delete(away.serverName)
  const left = clock.monotonic()
  tell(STORY_WORDS.goesAway(away.serverName))
  await act(plan.outage)
  await pause(Math.max(0, left + Math.max(minAgeMs, BRIEF_MS) + 1000 - clock.monotonic()))

  const seconds = Math.round((clock.monotonic() - left) / 1000)
  if (seconds >= TYPING_S) lossy.add(away.serverName)
  tell(STORY_WORDS.comesBack(away.serverName, seconds))
  await away.restart()
  await settled([away, joiner], 'the server that was away has caught up')
  pace.writeOff(away.serverName)
  present.add(away.serverName)

  tell(STORY_WORDS.joins(joiner.serverName))
  await traffic.join([{ room: ROOM.gathering, servers: [cast.joiner] }])
  await settled([joiner], 'the server that joined has the sticky events')

  tell(STORY_WORDS.goesOn)
  await act(plan.ending)
  if (edus !== undefined) await traffic.say(edus.stopTyping())
  tell(STORY_WORDS.ends)
  const alive = fleet.servers.filter((server) => server !== dead)
  await settled(alive, 'every server has everything')
  return rules([{ server: joiner.serverName, room: traffic.roomId(ROOM.gathering) }])
}
