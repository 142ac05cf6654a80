/**
 * `limpet simulate`, the demo: a fleet of strict homeservers on loopback, most of them with plain names, a daemon with
 * everything embedded, traffic, the kind of trouble that real servers have, and at the end a verdict for each destination.
 *
 * Exit 0: nothing is missing, no server got an event that it was not entitled to, and limpet did nothing that a strict
 * server objects to. Ctrl-C ends it cleanly: the database server is stopped and the folder removed. With `--keep-running`
 * everything goes on after the verdict, until Ctrl-C.
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
import { STORY_WORDS } from '../../simulate/story/words.ts'
import { makeTraffic } from '../../simulate/fleet/traffic.ts'
import type { Traffic } from '../../simulate/fleet/traffic.ts'
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
import { screenOf, writeTinted } from '../screen.ts'
import { untilAborted } from '../stop-signal.ts'
import { shownPath } from '../shown-path.ts'
import { programOf, textToTry } from './to-try.ts'
import type { ToTry } from './to-try.ts'

/** So that an outage of seconds is a long one. */
const MIN_AGE_MS = 5000

/** @throws CommandError where the verdict is bad or `signal` aborted */
export async function runSimulate(
  { sizes, json, keep, keepRunning }: { sizes: Sizes; json: boolean; keep: boolean; keepRunning: boolean },
  { io, signal }: { io: Io; signal: AbortSignal },
): Promise<void> {
  const plan = planStory(sizes)
  const live = makeLive(io.stderr, io.env, () => systemClock.monotonic())
  const print = (report: SimulateReport) => {
    if (json) io.stdout.write(`${jsonText(jsonOf(report))}\n`)
    else writeTinted(io.stdout, `${showReport(report, screenOf(io.stdout, io.env))}\n`)
  }
  const goOn = async (report: SimulateReport, about: Omit<ToTry, 'cwd' | 'program'>) => {
    print(report)
    const to = { ...about, cwd: io.cwd, program: programOf(shownPath(io.cwd, process.argv[1] ?? '')) }
    // Where the verdict is for a program, this is not.
    const output = json ? io.stderr : io.stdout
    writeTinted(output, `\n${textToTry(to, screenOf(output, io.env))}\n`)
    await untilAborted(signal)
  }
  const report = await tellAll(plan, { live, keep, signal, goOn: keepRunning ? goOn : null })
  if (!keepRunning) print(report)
  const bad = complaintOf(report)
  if (bad !== null) throw new CommandError(bad)
}

interface RunStage {
  readonly live: Live
  readonly keep: boolean
  readonly signal: AbortSignal
  /** What comes after the verdict, while everything goes on; null: nothing. */
  readonly goOn: ((report: SimulateReport, about: Omit<ToTry, 'cwd' | 'program'>) => Promise<void>) | null
}

async function tellAll(plan: StoryPlan, { live, keep, signal, goOn }: RunStage): Promise<SimulateReport> {
  const began = systemClock.monotonic()
  live.tell(STORY_WORDS.sizes(plan.sizes))
  const authority = await makeCertificateAuthority(systemClock.now())
  const names = await startNames(authority, systemClock)
  let demo: Demo | undefined
  let fleet: Fleet | undefined
  let report: SimulateReport | undefined
  try {
    demo = await startDemo({
      ...{ ports: names.ports, dnsServer: names.dns.name, authority: authority.cert },
      ...{ thresholdPdus: plan.thresholdPdus, minAgeMs: MIN_AGE_MS, keep },
    })
    signal.throwIfAborted()
    const { serverName, key } = demo
    fleet = await startFleet({
      ...{ count: plan.sizes.servers, origin: serverName, key, clock: systemClock, names },
      behaves: (index) => behaviourOf(plan.cast, index, `!room${ROOM.strange}:${serverName}`),
    })
    live.tell(`to try meanwhile: limpet discover ${fleet.at(0).serverName} --config ${demo.file}`)
    const played = await play(plan, { demo, fleet, live, signal, began })
    report = played.report
    live.end()
    if (goOn !== null)
      await Promise.race([goOn(report, aboutRun(plan, demo, fleet, played.traffic)), demo.failed])
    return report
  } catch (error) {
    if (signal.aborted && report === undefined)
      throw new CommandError('interrupted: there is no verdict', { cause: error })
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
): Promise<{ report: SimulateReport; traffic: Traffic }> {
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
  const seconds = (systemClock.monotonic() - began) / 1000
  return { report: { plan, verdict, edus: ofEdus, limpet, found, seconds }, traffic }
}

/** What can be looked at when the story is over. */
function aboutRun(
  plan: StoryPlan,
  demo: Demo,
  fleet: Fleet,
  traffic: Traffic,
): Omit<ToTry, 'cwd' | 'program'> {
  const events = traffic.told.flatMap((one) => (one.kind === 'event' ? [one] : []))
  const now = systemClock.now()
  const gathered = traffic.roomId(ROOM.gathering)
  const sticky = events.find(({ room, stickyUntil }) => room === gathered && (stickyUntil ?? 0) > now)
  return {
    ...{ url: demo.url, file: demo.file, dead: fleet.at(plan.cast.dead).serverName },
    ...{ named: fleet.at(plan.cast.away).serverName, eventId: (sticky ?? events.at(-1))?.eventId ?? '' },
    ...{ roomId: traffic.roomId(ROOM.everybody), userId: `@somebody:${demo.serverName}` },
  }
}
