/**
 * Each alert fires when it should and is silent when it should not, judged by Prometheus itself.
 *
 * Every case begins with what a daemon that has just started shows: a series that is not there then would make a rule
 * that never fires.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { parse, stringify } from 'yaml'
import { makeMetrics } from '../src/observe/metrics.ts'
import { promtool } from './support/promtool.ts'

interface Rule {
  alert: string
  expr: string
  labels: Record<string, string>
  annotations: Record<string, string>
}

interface Case {
  alert: string
  /** As a sentence goes on after "fires" or "is silent". */
  when: string
  /** Series that are not as at the start, in promtool's notation, one value a minute: `0+10x180`. */
  series: Record<string, string>
  /** The end of the story. */
  after: `${number}m`
  /** What labels of the series say, where it fires; null: silent. */
  fires: Record<string, string> | null
}

const FILE = fileURLToPath(new URL('../ops/prometheus/alerts.yaml', import.meta.url))
const RULES = (parse(readFileSync(FILE, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  ({ rules }) => rules,
)
const TARGET = { instance: 'limpet:8469', job: 'limpet' }
const MINUTES = 240

const flat = (value: number) => `${value}x${MINUTES}`
const grows = (perMinute: number) => `0+${perMinute}x${MINUTES}`
const EVENTS = { 'limpet_ingest_items_total{type="event"}': grows(60) }
const OWED = { limpet_pending_pdus: flat(50) }
const ANSWERED = 'limpet_transactions_total{outcome="answered"}'
const FAILED = 'limpet_transactions_total{outcome="failed"}'
const BACKING_OFF = 'limpet_destinations{state="backing_off"}'
const DEAD = 'limpet_destinations{state="dead"}'
const CUT_OFF = 'limpet_own_trouble{kind="no_answer"}'
const BEHIND = 'limpet_source_behind_seconds{source="synapse"}'
const IDLE = 'limpet_destinations{state="idle"}'
const quick = (name: string, le: string, perMinute: number) => ({
  [`${name}_bucket{le="${le}"}`]: grows(perMinute),
})
/** Nothing is at or below 5 s, all of it at or below 15 s. */
const SLOW = Object.fromEntries(
  [15, 60, 300, 1800, 3600, 14400, 86400, '+Inf'].flatMap((le) =>
    Object.entries(quick('limpet_delivery_seconds', String(le), 60)),
  ),
)
const QUICK = Object.fromEntries(
  [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800, 3600, 14400, 86400, '+Inf'].flatMap((le) =>
    Object.entries(quick('limpet_delivery_seconds', String(le), 60)),
  ),
)

const CASES: Case[] = [
  { alert: 'LimpetDown', when: 'it does not answer', series: { up: flat(0) }, after: '5m', fires: TARGET },
  { alert: 'LimpetDown', when: 'it answers', series: {}, after: '60m', fires: null },
  {
    alert: 'LimpetNobodySweeps',
    when: 'nobody sweeps from the start on',
    series: { limpet_stream_position: '_x240' },
    after: '10m',
    fires: {},
  },
  { alert: 'LimpetNobodySweeps', when: 'somebody sweeps', series: {}, after: '60m', fires: null },
  {
    alert: 'LimpetSendsNothing',
    when: 'nothing was ever tried',
    series: { ...EVENTS, ...OWED },
    after: '40m',
    fires: {},
  },
  {
    ...{ alert: 'LimpetSendsNothing', when: 'it stopped trying', after: '60m' as const, fires: {} },
    series: { ...EVENTS, ...OWED, [ANSWERED]: `0+5x20 100x${MINUTES}` },
  },
  {
    alert: 'LimpetSendsNothing',
    when: 'it tries and fails',
    series: { ...EVENTS, ...OWED, [FAILED]: grows(1) },
    after: '60m',
    fires: null,
  },
  { alert: 'LimpetSendsNothing', when: 'nothing is owed', series: EVENTS, after: '60m', fires: null },
  { alert: 'LimpetSendsNothing', when: 'nothing comes in', series: OWED, after: '60m', fires: null },
  {
    alert: 'LimpetMostAttemptsFail',
    when: 'the first attempts all fail',
    series: { [FAILED]: grows(60) },
    after: '40m',
    fires: {},
  },
  {
    alert: 'LimpetMostAttemptsFail',
    when: 'half of them fail',
    series: { [FAILED]: grows(60), [ANSWERED]: grows(60) },
    after: '60m',
    fires: null,
  },
  { alert: 'LimpetMostAttemptsFail', when: 'nothing is tried', series: {}, after: '60m', fires: null },
  {
    ...{ alert: 'LimpetOwnTrouble', when: 'nobody can be reached', after: '40m' as const },
    series: { [CUT_OFF]: flat(1) },
    fires: { instance: TARGET.instance, kind: 'no_answer' },
  },
  {
    alert: 'LimpetOwnTrouble',
    when: 'somebody can be reached',
    series: { [CUT_OFF]: flat(0) },
    after: '60m',
    fires: null,
  },
  {
    alert: 'LimpetManyBackingOff',
    when: 'most are backing off',
    series: { [BACKING_OFF]: flat(80), [IDLE]: flat(20) },
    after: '40m',
    fires: {},
  },
  {
    alert: 'LimpetManyBackingOff',
    when: 'most of those that are not dead are',
    series: { [BACKING_OFF]: flat(30), [IDLE]: flat(20), [DEAD]: flat(200) },
    after: '40m',
    fires: {},
  },
  {
    alert: 'LimpetManyBackingOff',
    when: 'a third of them are',
    series: { [BACKING_OFF]: flat(30), [IDLE]: flat(60) },
    after: '60m',
    fires: null,
  },
  {
    alert: 'LimpetManyBackingOff',
    when: 'they are few',
    series: { [BACKING_OFF]: flat(8), [IDLE]: flat(1) },
    after: '60m',
    fires: null,
  },
  { alert: 'LimpetSlowDelivery', when: 'all take longer', series: SLOW, after: '40m', fires: {} },
  { alert: 'LimpetSlowDelivery', when: 'all are quick', series: QUICK, after: '60m', fires: null },
  { alert: 'LimpetSlowDelivery', when: 'nothing is delivered', series: {}, after: '60m', fires: null },
  {
    alert: 'LimpetBacklogGrows',
    when: 'it grows',
    series: { limpet_pending_pdus: `20000+300x${MINUTES}` },
    after: '180m',
    fires: {},
  },
  {
    alert: 'LimpetBacklogGrows',
    when: 'it is large and shrinks',
    series: { limpet_pending_pdus: `90000-300x${MINUTES}` },
    after: '180m',
    fires: null,
  },
  {
    alert: 'LimpetStickyLapses',
    when: 'many lapse',
    series: { limpet_sticky_lapsed_total: grows(20) },
    after: '20m',
    fires: {},
  },
  {
    alert: 'LimpetStickyLapses',
    when: 'few lapse',
    series: { limpet_sticky_lapsed_total: grows(1) },
    after: '60m',
    fires: null,
  },
  {
    alert: 'LimpetEventLoopLag',
    when: 'it is held up',
    series: { limpet_nodejs_eventloop_lag_p99_seconds: flat(3) },
    after: '20m',
    fires: TARGET,
  },
  { alert: 'LimpetEventLoopLag', when: 'it is not', series: {}, after: '60m', fires: null },
  {
    ...{
      alert: 'LimpetGivesUp',
      when: 'the first is given up',
      after: '30m' as const,
      fires: { why: 'retention' },
    },
    series: { 'limpet_given_up_total{why="retention"}': `0x20 1x${MINUTES}` },
  },
  { alert: 'LimpetGivesUp', when: 'nothing is', series: {}, after: '60m', fires: null },
  {
    alert: 'LimpetLogLost',
    when: 'the first line is lost',
    series: { limpet_log_lines_lost_total: `0x20 1x${MINUTES}` },
    after: '25m',
    fires: TARGET,
  },
  { alert: 'LimpetLogLost', when: 'none is', series: {}, after: '60m', fires: null },
  {
    alert: 'LimpetSourceBehind',
    when: 'a source has not moved for five minutes',
    series: { [BEHIND]: `0+60x${MINUTES}` },
    after: '7m',
    fires: { source: 'synapse' },
  },
  {
    alert: 'LimpetSourceBehind',
    when: 'a source is a minute behind',
    series: { [BEHIND]: flat(60) },
    after: '60m',
    fires: null,
  },
  {
    alert: 'LimpetOldSnapshot',
    when: 'a session holds one for forty minutes',
    series: { limpet_oldest_snapshot_seconds: `0+60x${MINUTES}` },
    after: '40m',
    fires: {},
  },
  {
    alert: 'LimpetOldSnapshot',
    when: 'each is gone after minutes',
    series: { limpet_oldest_snapshot_seconds: flat(600) },
    after: '60m',
    fires: null,
  },
  {
    alert: 'LimpetMuchSetAside',
    when: 'two hundred PDUs are set aside, as of the sweeps of one process after the other',
    series: { 'limpet_set_aside{kind="pdu"}': flat(200) },
    after: '90m',
    fires: {},
  },
  {
    alert: 'LimpetMuchSetAside',
    when: 'twenty rooms are held',
    series: { limpet_held_rooms: flat(20) },
    after: '90m',
    fires: {},
  },
  {
    alert: 'LimpetMuchSetAside',
    when: 'a few servers refuse a few things',
    series: { 'limpet_set_aside{kind="pdu"}': flat(50), limpet_held_rooms: flat(3) },
    after: '120m',
    fires: null,
  },
  {
    alert: 'LimpetMuchSetAside',
    when: 'it is taken within the hour',
    series: { 'limpet_set_aside{kind="pdu"}': `200x40 0x${MINUTES}` },
    after: '120m',
    fires: null,
  },
]

describe('the alerts', () => {
  let program: string
  let dir = ''
  let atStart: Map<string, number>

  before(async function () {
    program = promtool(this)
    dir = mkdtempSync(join(tmpdir(), 'limpet-alerts-'))
    // A process with all roles and a source, after its first sweep of an empty database.
    const metrics = makeMetrics()
    metrics.sourceBehind.set({ source: 'synapse' }, 0)
    metrics.setTotals({
      position: 0,
      destinations: {},
      pendingPdus: 0,
      oldestPendingMs: null,
      stickyPending: 0,
      oldestSnapshotMs: 0,
      setAsidePdus: 0,
      setAsideEdus: 0,
      heldRooms: 0,
    })
    const text = await metrics.registry.metrics()
    const samples = text.matchAll(/^(\w+(?:\{[^}]*\})?) (\S+)$/gm)
    atStart = new Map([...samples].map(([, series = '', value]) => [series, Number(value)]))
  })
  after(() => {
    rmSync(dir, { recursive: true, force: true })
  })

  it('have a case each in which they fire and one in which they are silent', () => {
    for (const { alert } of RULES)
      for (const fires of [true, false])
        expect(
          CASES.some((one) => one.alert === alert && (one.fires !== null) === fires),
          `${alert} ${fires ? 'fires' : 'is silent'}`,
        ).to.equal(true)
  })

  for (const one of CASES) {
    const { alert, when, series, after: at, fires } = one
    it(`${alert} ${fires === null ? 'is silent' : 'fires'} when ${when}`, () => {
      const rule = RULES.find((known) => known.alert === alert)
      if (rule === undefined) throw new Error(`no rule ${alert}`)
      for (const name of Object.keys(series))
        if (name !== 'up') expect([...atStart.keys()], 'what a daemon shows at its start').to.include(name)
      const all = new Map<string, string>([['up', flat(1)]])
      const used = new Set(
        RULES.flatMap(({ expr }) => [...expr.matchAll(/limpet_\w+/g)].map(([name]) => name)),
      )
      for (const [name, value] of atStart)
        if (used.has(name.replace(/\{.*/, ''))) all.set(name, flat(Number.isFinite(value) ? value : 0))
      for (const [name, values] of Object.entries(series)) all.set(name, values)
      const summary = (rule.annotations['summary'] ?? '').replace(
        /\{\{ \$labels\.(\w+) \}\}/g,
        (_, label: string) => (fires ?? {})[label] ?? '',
      )
      const expected = {
        eval_time: at,
        alertname: alert,
        exp_alerts:
          fires === null
            ? []
            : [
                {
                  exp_labels: { ...rule.labels, ...fires },
                  exp_annotations: { ...rule.annotations, summary },
                },
              ],
      }
      const input = [...all].map(([name, values]) => ({ series: withTarget(name), values }))
      const file = join(dir, 'test.yaml')
      const tests = [{ interval: '1m', input_series: input, alert_rule_test: [expected] }]
      writeFileSync(file, stringify({ rule_files: [FILE], evaluation_interval: '1m', tests }))
      let said = ''
      try {
        execFileSync(program, ['test', 'rules', file], { stdio: 'pipe' })
      } catch (error) {
        said = String((error as { stderr?: Buffer }).stderr)
      }
      expect(said).to.equal('')
    })
  }
})

/** A series as it is after it was scraped. */
function withTarget(series: string): string {
  const labels = Object.entries(TARGET).map(([name, value]) => `${name}="${value}"`)
  const [, name = '', own] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? []
  return `${name}{${[...(own === undefined ? [] : [own]), ...labels].join(',')}}`
}
