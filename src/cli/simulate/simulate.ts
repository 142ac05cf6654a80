/**
 * `limpet simulate`, the demo: a fleet of strict homeservers on loopback, most of them with plain names, a daemon with
 * everything embedded, traffic, the kind of trouble that real servers have, and at the end a verdict for each destination.
 *
 * Exit 0: nothing is missing, no server got an event that it was not entitled to, and limpet did nothing that a strict
 * server objects to. Ctrl-C ends it cleanly: the database server is stopped and the folder removed.
 */
import { systemClock } from '../../pace/clock.ts'
import { makeCertificateAuthority } from '../../simulate/fleet/certs.ts'
import { startFleet } from '../../simulate/fleet/fleet.ts'
import type { Fleet } from '../../simulate/fleet/fleet.ts'
import { startNames } from '../../simulate/names/names.ts'
import { behaviourOf } from '../../simulate/story/cast.ts'
import { makeDice } from '../../simulate/story/dice.ts'
import { makeEduTalk } from '../../simulate/story/edu-talk.ts'
import { planStory } from '../../simulate/story/plan.ts'
import type { StoryPlan, Sizes } from '../../simulate/story/plan.ts'
import { ROOM } from '../../simulate/story/rooms.ts'
import { runStory } from '../../simulate/story/story.ts'
import { makeTraffic } from '../../simulate/fleet/traffic.ts'
import { judgeEdus } from '../../simulate/verdict/edus.ts'
import { judgeRun } from '../../simulate/verdict/verdict.ts'
import { CommandError } from '../cli-error.ts'
import { jsonText, type Io } from '../io.ts'
import { compareWithLimpet } from './compare.ts'
import { startDemo } from './daemon.ts'
import type { Demo } from './daemon.ts'
import { askSteps, wrongSteps } from './found.ts'
import { makeLive } from './live.ts'
import type { Live } from './live.ts'
import { complaintOf, jsonOf, showReport } from './report.ts'
import type { SimulateReport } from './report.ts'

/** So that an outage of seconds is a long one. */
const MIN_AGE_MS = 5000

/** @throws CommandError where the verdict is bad or `signal` aborted */
export async function runSimulate(
  { sizes, json, keep }: { sizes: Sizes; json: boolean; keep: boolean },
  { io, signal }: { io: Pick<Io, 'stdout' | 'stderr'>; signal: AbortSignal },
): Promise<void> {
  const plan = planStory(sizes)
  const live = makeLive(io.stderr, () => systemClock.monotonic())
  const report = await tellAll(plan, { live, keep, signal })
  if (json) io.stdout.write(`${jsonText(jsonOf(report))}\n`)
  else io.stdout.write(`${showReport(report)}\n`)
  const bad = complaintOf(report)
  if (bad !== null) throw new CommandError(bad)
}

interface RunStage {
  readonly live: Live
  readonly keep: boolean
  readonly signal: AbortSignal
}

async function tellAll(plan: StoryPlan, { live, keep, signal }: RunStage): Promise<SimulateReport> {
  const began = systemClock.monotonic()
  const { servers, rooms, events, seed } = plan.sizes
  live.tell(`${servers} servers, ${rooms} rooms, ${events} events, seed ${seed}: making a database`)
  const authority = await makeCertificateAuthority(systemClock.now())
  const names = await startNames(authority, systemClock)
  let demo: Demo | undefined
  let fleet: Fleet | undefined
  try {
    demo = await startDemo({
      ...{ ports: names.ports, dnsServer: names.dns.name, authority: authority.cert },
      ...{ thresholdPdus: plan.thresholdPdus, minAgeMs: MIN_AGE_MS, keep },
    })
    signal.throwIfAborted()
    const { serverName, key } = demo
    fleet = await startFleet({
      ...{ count: servers, origin: serverName, key, clock: systemClock, names },
      behaves: (index) => behaviourOf(plan.cast, index, `!room${ROOM.strange}:${serverName}`),
    })
    live.tell(`to try meanwhile: limpet discover ${fleet.at(0).serverName} --config ${demo.file}`)
    return await play(plan, { demo, fleet, live, signal, began })
  } catch (error) {
    if (signal.aborted) throw new CommandError('interrupted: there is no verdict', { cause: error })
    throw error
  } finally {
    live.end()
    if (demo !== undefined) live.tell(keep ? `stopping; the daemon's folder stays: ${demo.dir}` : 'stopping')
    await demo?.stop()
    await fleet?.stop()
    await names.stop()
  }
}

async function play(
  plan: StoryPlan,
  {
    demo,
    fleet,
    live,
    signal,
    began,
  }: { demo: Demo; fleet: Fleet; live: Live; signal: AbortSignal; began: number },
): Promise<SimulateReport> {
  const { serverName, key } = demo
  const ingest = (items: readonly object[]) => demo.ingest(items)
  const get = (path: string) => demo.get(path)
  const servers = fleet.servers.map((server) => server.serverName)
  const traffic = makeTraffic({ serverName, key, clock: systemClock, servers, ingest })
  const edus = makeEduTalk({
    ...{ dice: makeDice(plan.sizes.seed), serverName, servers, now: () => systemClock.now() },
    roomIds: plan.rooms.map((_, room) => traffic.roomId(room)),
  })
  live.watch({ plan, fleet, traffic, get })
  const failing = new AbortController()
  demo.failed.catch((error: unknown) => failing.abort(error))
  const rules = await runStory({
    ...{ plan, fleet, traffic, edus, clock: systemClock, minAgeMs: MIN_AGE_MS },
    tell: (line) => live.tell(line),
    signal: AbortSignal.any([signal, failing.signal]),
  })
  const verdict = judgeRun(traffic.told, fleet.servers, rules)
  // The dead one is owed all; no outage of the others is longer than an EDU lasts.
  const eduRules = { dead: rules.dead, lossy: new Set<string>() }
  const ofEdus = fleet.servers.map((server) => judgeEdus(traffic.eduClaims, server, eduRules))
  const compared = await compareWithLimpet({ get, plan, verdict })
  const found = await askSteps(get, servers)
  const limpet = {
    ...compared,
    disagreements: [...compared.disagreements, ...wrongSteps(found, servers)],
  }
  return { plan, verdict, edus: ofEdus, limpet, found, seconds: (systemClock.monotonic() - began) / 1000 }
}
