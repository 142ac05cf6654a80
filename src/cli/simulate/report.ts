/** What `limpet simulate` prints at the end: a line for each destination, and the verdict. */
import { partOf } from '../../simulate/story/cast.ts'
import type { StoryPlan } from '../../simulate/story/plan.ts'
import type { ServerVerdict, Verdict } from '../../simulate/verdict/verdict.ts'
import { impliedText, replayedByPace } from './compare.ts'
import type { Comparison } from './compare.ts'
import { countSteps, foundText } from './found.ts'
import type { FoundSteps } from './found.ts'
import { eduFaults, textOfEdus, eduTotals } from './edu-report.ts'
import type { EduVerdict } from '../../simulate/verdict/edus.ts'
import { table } from '../admin/table.ts'
import type { Column } from '../admin/table.ts'
import { wrap } from '../admin/wrap.ts'
import type { Screen, Tint } from '../screen.ts'

export interface SimulateReport {
  readonly plan: StoryPlan
  readonly verdict: Verdict
  /** Of each server; none: no EDUs were in the traffic. */
  readonly edus: readonly EduVerdict[]
  /** What limpet says of itself. */
  readonly limpet: Comparison
  /** By which step of server discovery it says that each server was found. */
  readonly found: FoundSteps
  readonly seconds: number
}

const isGood = ({ verdict, edus, limpet }: SimulateReport) =>
  verdict.good && eduFaults(edus).length === 0 && limpet.disagreements.length === 0

/** Why the run failed, in one line; null: it did not. */
export function complaintOf(report: SimulateReport): string | null {
  if (isGood(report)) return null
  const { missing, notEntitled, faults: said } = report.verdict.totals
  const other = said + report.limpet.disagreements.length + eduFaults(report.edus).length
  return `the run failed: missing ${missing}, not entitled ${notEntitled}, other faults ${other}`
}

/** For `--json`: sizes, what the seed implies, limpet's own counts, how many servers were found by which step, totals, and the verdict on each server. */
export function jsonOf(report: SimulateReport): object {
  const { plan, verdict, edus, limpet, found, seconds } = report
  const servers = verdict.servers.map((one, index) => {
    return { ...one, part: partOf(plan.cast, index), step: found[index] ?? null, edus: edus[index] ?? null }
  })
  const { sizes, implied } = plan
  const { totals } = verdict
  const counts = { totals, edus: eduTotals(edus) }
  return {
    good: isGood(report),
    seconds,
    sizes,
    implied,
    limpet,
    found: countSteps(found),
    ...counts,
    servers,
  }
}

const LEGEND =
  'OWED: events that the server was entitled to: received, skipped, pending or lapsed. Skipped: a long backlog is not sent in full, only the newest event of each room. ' +
  'REPLAYED, of those received: sticky events that came first after an outage or a join. LAPSED: their time was over before they could be. ' +
  'NOTE: what the server does (its first requests end in errors, its answers are lost or do not list all, it is removed from a room), and what it did not get.'

/** Most faults that are shown. */
const SHOWN = 20

type Row = ServerVerdict & { part: string }

export function showReport(report: SimulateReport, screen: Screen): string {
  const { plan, verdict } = report
  const rows = verdict.servers.map((one, index) => ({ ...one, part: partOf(plan.cast, index) }))
  const number = (title: string, value: (row: Row) => number): Column<Row> => ({ title, value, right: true })
  const columns: Column<Row>[] = [
    { title: 'DESTINATION', value: ({ server }) => server },
    number('OWED', ({ owed }) => owed),
    number('RECEIVED', ({ received }) => received),
    ...unlessNone(
      number('MISSING', ({ missing }) => missing.length),
      rows,
    ),
    ...unlessNone(
      number('NOT ENTITLED', ({ notEntitled }) => notEntitled.length),
      rows,
    ),
    number('REPLAYED', ({ replayed }) => replayed),
    number('LAPSED', ({ lapsed }) => lapsed.length),
    // Never cut: it holds numbers.
    { title: 'NOTE', value: note, id: 'note' },
  ]
  const tinted = (tint: Tint, lines: readonly string[]) =>
    lines.flatMap((line) => wrap(line, 2, screen.width).split('\n')).map((line) => screen.tint(tint, line))
  const said = summary(report)
  return [
    table(rows, columns, screen),
    '',
    ...tinted('faint', [LEGEND]),
    '',
    ...tinted('trouble', faults(report)),
    ...said.slice(0, -1).map((line) => wrap(line, 2, screen.width)),
    ...tinted(isGood(report) ? 'good' : 'trouble', said.slice(-1)),
  ].join('\n')
}

/** What is never so in a good run takes no room then; the sentences below have its sum. */
const unlessNone = (column: Column<Row>, rows: readonly Row[]): Column<Row>[] =>
  rows.every((row) => column.value(row) === 0) ? [] : [column]

function note({ part, skipped, pending, faults }: Row): string {
  const counted = (count: number, what: string) =>
    count === 0 ? [] : [`${count.toLocaleString('en-US')} ${what}`]
  const counts = [
    ...counted(skipped, 'skipped'),
    ...counted(pending, 'pending'),
    ...counted(faults.length, 'FAULTS'),
  ]
  return [...(part === '' ? [] : [part]), ...counts].join(', ')
}

function faults({ verdict, edus, limpet }: SimulateReport): string[] {
  const all = [
    ...verdict.servers.flatMap(({ server, missing, notEntitled, faults: said }) => [
      ...missing.map((id) => `${server}: ${id} is missing`),
      ...notEntitled.map((id) => `${server}: received ${id} without being entitled to it`),
      ...said.map((fault) => `${server}: ${fault}`),
    ]),
    ...eduFaults(edus),
    ...limpet.disagreements,
  ]
  if (all.length === 0) return []
  const more = all.length > SHOWN ? [`… and ${all.length - SHOWN} more`] : []
  return ['Faults:', ...all.slice(0, SHOWN).map((fault) => `  ${fault}`), ...more, '']
}

function summary(report: SimulateReport): string[] {
  const { plan, verdict, edus, limpet, seconds } = report
  const ofEdus = eduTotals(edus)
  const { totals, servers } = verdict
  const count = (value: number) => value.toLocaleString('en-US')
  const joinSizes = servers[plan.cast.joiner]?.joinSizes.join(' + ') ?? ''
  const { sizes } = plan
  const byPace = replayedByPace(report)
  const slow =
    byPace === 0 ? '' : ` (${byPace} went to servers that fell behind because this machine is slow)`
  return [
    `missing ${totals.missing}, not entitled ${totals.notEntitled}, replayed ${totals.replayed}, lapsed ${totals.lapsed}`,
    `The seed implies ${plan.implied.replayed} replayed (${impliedText(plan)}) and ${plan.implied.lapsed} lapsed; ` +
      `limpet counts ${limpet.replayed} and ${limpet.lapsed}${slow}.`,
    foundText(report.found),
    `The sticky events for the server that joined came in transactions of ${joinSizes}.`,
    `Owed ${count(totals.owed)} in total: ${count(totals.received)} received, ${count(totals.skipped)} skipped by catch-up, ` +
      `${count(totals.pending)} pending for the dead one, ${count(totals.lapsed)} lapsed; ` +
      `${count(totals.transactions)} transactions, ${totals.repeated} of them repeated.`,
    ...(ofEdus === null ? [] : [textOfEdus(ofEdus)]),
    `${isGood(report) ? 'good' : 'BAD'}: ${count(sizes.events)} events in ${sizes.rooms} rooms to ${sizes.servers} servers ` +
      `in ${seconds.toFixed(1)} s, seed ${sizes.seed}`,
  ]
}
