/**
 * Does limpet's own account agree with the verdict? The admin API and the metrics are compared with what the servers
 * saw.
 *
 * The servers do not see everything: if a slow machine let a server fall behind for a moment, a sticky event that came
 * in its turn may have been a replay or not. There the two may differ, and nowhere else.
 */
import { systemClock } from '../../pace/clock.ts'
import { GATHERED } from '../../simulate/story/plan.ts'
import type { StoryPlan } from '../../simulate/story/plan.ts'
import type { Verdict } from '../../simulate/verdict/verdict.ts'
import type { DestinationsAnswer, EventAnswer, StatusAnswer } from '../admin/answers.ts'

export interface Comparison {
  /** `sticky_lapsed_total`. */
  readonly lapsed: number
  /** `pdus_sent_total{reason="sticky_replay"}`. */
  readonly replayed: number
  /** Whatever does not fit, in words. */
  readonly disagreements: readonly string[]
}

type Get = (path: string) => Promise<unknown>

/** The sweep counts once a second; what it says settles within this time, ms. */
const SETTLES_MS = 10_000

export async function compareWithLimpet(asked: {
  get: Get
  plan: StoryPlan
  verdict: Verdict
}): Promise<Comparison> {
  const until = systemClock.monotonic() + SETTLES_MS
  for (;;) {
    const comparison = await compareNow(asked)
    if (comparison.disagreements.length === 0 || systemClock.monotonic() > until) return comparison
    await systemClock.sleep(200)
  }
}

/** One look, at what is so now. */
export async function compareNow({
  get,
  plan,
  verdict,
}: {
  get: Get
  plan: StoryPlan
  verdict: Verdict
}): Promise<Comparison> {
  const { totals, servers } = verdict
  const metrics = String(await get('/metrics'))
  const lapsed = metric(metrics, 'limpet_sticky_lapsed_total')
  const replayed = metric(metrics, 'limpet_pdus_sent_total{reason="sticky_replay"}')
  const { away, dead } = plan.cast
  const disagreements: string[] = []
  const differ = (what: string, one: string, count: number, ours: number, doubtful = 0) => {
    if (count <= ours && count >= ours - doubtful) return
    const saw = doubtful === 0 ? `${ours}` : `${ours - doubtful} to ${ours}`
    disagreements.push(`${what}: ${one} ${count}, but the servers saw ${saw}`)
  }
  // A server that was behind only because the machine is slow is served rightly, but not by the seed.
  const byPace = replayedByPace({ plan, verdict })
  if (!servers.some(({ skipped }, index) => index !== away && skipped > 0)) {
    differ('sticky replays', 'limpet counts', replayed, totals.replayed, totals.doubtful)
    differ('sticky events that lapsed', 'limpet counts', lapsed, totals.lapsed)
  }
  if (totals.missing === 0) {
    const { lapsed: lapsedIds = [], doubtful } = servers[away] ?? {}
    const ours = totals.replayed - byPace
    differ('sticky replays', 'the seed implies', plan.implied.replayed, ours, doubtful)
    differ('sticky events that lapsed', 'the seed implies', plan.implied.lapsed, lapsedIds.length)
  }
  for (const { server, lapsed: ids } of servers) {
    for (const id of ids) {
      const said = await outcome(get, id, server)
      if (said !== 'lapsed') disagreements.push(`${id} lapsed for ${server}, but limpet says ${said}`)
    }
  }
  disagreements.push(...(await wrongStates(get, servers[dead]?.server ?? '')))
  return { lapsed, replayed, disagreements }
}

/** Replays of which the seed says nothing: to servers that fell behind by the machine's pace. */
export function replayedByPace({ plan, verdict }: { plan: StoryPlan; verdict: Verdict }): number {
  const { away, joiner, unknowing } = plan.cast
  return verdict.servers.reduce((sum, { replayed, caughtUp }, index) => {
    if (index === away) return sum
    return sum + ([joiner, unknowing].includes(index) ? caughtUp : replayed)
  }, 0)
}

/** All are idle but the dead one, which is owed what it is owed and is tried again and again. */
async function wrongStates(get: Get, dead: string): Promise<string[]> {
  const status = (await get('/v1/status')) as StatusAnswer
  const { destinations } = (await get('/v1/destinations?limit=1000')) as DestinationsAnswer
  const wrong: string[] = []
  for (const { destination, state, pending_pdus } of destinations) {
    // The dead one is due for a moment before each attempt.
    const fits = destination === dead ? state !== 'idle' && pending_pdus > 0 : state === 'idle'
    if (!fits) wrong.push(`${destination}: limpet says ${state}, with ${pending_pdus} PDUs pending`)
  }
  const { pending_pdus: pending = 0 } = destinations.find(({ destination }) => destination === dead) ?? {}
  if (status.pending_pdus !== pending)
    wrong.push(
      `limpet says that ${status.pending_pdus} PDUs are pending, ${pending} of them for the dead one`,
    )
  return wrong
}

async function outcome(get: Get, eventId: string, server: string): Promise<string> {
  const answer = (await get(
    `/v1/events/${encodeURIComponent(eventId)}?destination=${encodeURIComponent(server)}`,
  )) as EventAnswer
  return answer.destinations[0]?.outcome ?? 'nothing'
}

function metric(text: string, name: string): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? 0 : Number(line.slice(name.length + 1))
}

/** The parts of what the seed implies, for a sentence. */
export function impliedText({ implied }: StoryPlan): string {
  return `${GATHERED} for the join, ${implied.replayed - GATHERED - 1} for the gap, 1 that was not listed at first`
}
