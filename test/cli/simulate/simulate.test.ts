import { expect } from 'chai'
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { foundText, wrongSteps } from '../../../src/cli/simulate/found.ts'
import { jsonOf, complaintOf, showReport } from '../../../src/cli/simulate/report.ts'
import type { SimulateReport } from '../../../src/cli/simulate/report.ts'
import { plainScreen } from '../../../src/cli/screen.ts'
import { planStory } from '../../../src/simulate/story/plan.ts'
import type { Heard, Told } from '../../../src/simulate/story/record.ts'
import type { EduVerdict } from '../../../src/simulate/verdict/edus.ts'
import { judgeRun } from '../../../src/simulate/verdict/verdict.ts'
import { until } from '../../support/poll.ts'
import { limpet, makeCommands, startLimpet, startShell } from '../cli-stage.ts'

const HERE = { cwd: tmpdir() }

describe('limpet simulate', () => {
  // A folder of its own for temporary files: what somebody else simulates on this machine is not counted.
  const usual = process.env['TMPDIR']
  let temporary: string
  before(() => {
    // Other files use them after this one, whose folder goes.
    makeCommands()
    temporary = mkdtempSync(join(tmpdir(), 'limpet-simulate-'))
    // PostgreSQL may have to run as another account than ours.
    chmodSync(temporary, 0o755)
    process.env['TMPDIR'] = temporary
  })
  after(() => {
    if (usual === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = usual
    rmSync(temporary, { recursive: true, force: true })
  })
  const folders = () => readdirSync(temporary).filter((name) => name.startsWith('limpet-demo-'))

  it('tells a small story to the end: nothing missing, nobody gets what is not theirs', async function () {
    this.timeout(600_000)
    const small = ['--servers', '6', '--rooms', '8', '--events', '200', '--seed', '5']
    const run = startLimpet(['simulate', ...small, '--json', '--keep-running'], HERE)
    const hint = / to try meanwhile: limpet (discover s0\.delegated\.test --config \S+)\n/
    const begun = () => hint.test(run.err) || run.child.exitCode !== null
    await until(begun, { what: 'the daemon to run', withinMs: 120_000 })
    const tried = await limpet(hint.exec(run.err)?.[1]?.split(' ') ?? [], HERE)
    const printed = / go on until Ctrl-C\. [^]*\/metrics\n/
    await until(() => printed.test(run.err) || run.child.exitCode !== null, {
      what: 'the verdict',
      withinMs: 300_000,
    })
    await tryAll(printed.exec(run.err)?.[0] ?? '')
    run.child.kill('SIGINT')
    const status = await run.ended
    const { out, err } = run
    expect(status, `${err}\n${out}`).to.equal(0)
    expect(tried.out, tried.err).to.match(/^s0\.delegated\.test is at 127\.0\.0\.1, port \d+$/m)
    expect(tried.out).to.match(/^found by step +3\.2$/m)
    const said = JSON.parse(out) as ReturnType<typeof jsonOf> & {
      totals: Record<string, number>
      edus: Record<string, number>
      implied: { replayed: number; lapsed: number }
      found: Record<string, number>
      servers: { part: string; joinSizes: number[]; lapsed: string[]; [counted: string]: unknown }[]
    }
    expect(said).to.deep.include({ good: true })
    expect(said.totals).to.include({ missing: 0, notEntitled: 0, faults: 0 })
    expect(said.edus).to.include({ missing: 0, notEntitled: 0, stale: 0, repeats: 0, faults: 0 })
    expect(said.edus['received']).to.be.above(0)
    expect(said.totals['replayed']).to.be.at.least(said.implied.replayed)
    const [away, joiner, dead, , erring, losing] = said.servers
    expect(away?.part).to.equal('was away')
    expect(away?.lapsed).to.have.length(said.implied.lapsed)
    expect(away?.['skipped']).to.be.above(0)
    expect(joiner?.joinSizes).to.deep.equal([50, 50, 13])
    expect(dead?.['pending']).to.be.above(0)
    for (const one of [erring, losing]) expect(one?.['repeated']).to.be.above(0)
    // One of each kind at least: `.well-known`, SRV, the usual port, an address.
    expect(said.found).to.deep.equal({ '3.2': 1, '4': 1, '1': 1, '6': 1, '3.3': 1, '5': 1 })
    for (const one of said.servers)
      if (one !== dead) expect(one['received'], one['server'] as string).to.be.above(0)
    expect(err).to.match(/^ +\d+\.\d s {2}6 servers, 8 rooms, 200 events, seed 5: making a database\n/)
    expect(folders(), 'what it leaves behind').to.deep.equal([])
  })

  /** Runs each command that is printed, as it is printed, in another shell. */
  async function tryAll(text: string): Promise<void> {
    const commands = text.split('\n').filter((line) => /^(npx|curl) /.test(line))
    const shows: Record<string, RegExp> = {
      ' status ': /^position +\d/m,
      ' destinations ': /^DESTINATION /m,
      ' destination ': /PDU/,
      ' preview ': /PDU|catch-up/,
      ' sticky ': /^EVENT|\$\S{43}/m,
      ' explain ': /sticky replay/,
      ' discover ': /^found by step +3\.2$/m,
      '/v1/ingest': /"accepted":1/,
      '/v1/status': /"server_name":"demo\.example"/,
      '/docs': /<html/,
      '/metrics': /^limpet_stream_position \d/m,
    }
    expect(commands).to.have.length(Object.keys(shows).length)
    const tried = commands.map((line) => ({ line, run: startShell(line, HERE) }))
    for (const [index, { line, run }] of tried.entries()) {
      const [part = '', what = /^$/] = Object.entries(shows)[index] ?? []
      expect(line).to.include(part)
      expect(await run.ended, `${line}\n${run.err}`).to.equal(0)
      expect(run.out, line).to.match(what)
    }
  }

  it('ends in good order on Ctrl-C, also while the database is made', async () => {
    const run = startLimpet(['simulate'], HERE)
    await until(() => run.err.includes('making a database'), { what: 'its first line' })
    run.child.kill('SIGINT')
    expect(await run.ended).to.equal(1)
    expect(run.err).to.match(/\nlimpet: interrupted: there is no verdict\n$/)
    expect(run.out).to.equal('')
    expect(folders(), 'what it leaves behind').to.deep.equal([])
  })

  for (const [wrong, line] of [
    [['--servers', '5'], '--servers must be a whole number from 6 to 200, not "5"'],
    [['--rooms', '7'], '--rooms must be a whole number from 8 to 5000, not "7"'],
    [['--events', '1e4'], '--events must be a whole number from 200 to 50000, not "1e4"'],
    [['--seed', '-1'], '--seed must be a whole number from 0 to 4294967295, not "-1"'],
  ] as const) {
    it(`refuses ${wrong.join(' ')} in one line, exit 2`, async () => {
      const { status, err } = await limpet(['simulate', ...wrong], HERE)
      expect({ status, err }).to.deep.equal({ status: 2, err: `limpet: ${line}\n` })
    })
  }

  describe('reports', () => {
    const server = '127.0.0.1:12345'
    const at = 1_000_000
    const times = { room: '!a:us', at, takenAt: at }
    const told: Told[] = [
      { kind: 'join', servers: [server], ...times },
      { kind: 'event', eventId: '$one', stickyUntil: null, to: null, ...times },
    ]
    const heard = (...pduIds: string[]): Heard => ({
      ...{ serverName: server, violations: [], mostOpenAtOnce: 1, received: new Set(pduIds) },
      transactions: [
        { txnId: 't', body: null, pduIds, requestsAt: [at + 1], response: '{}', answered: true },
      ],
    })
    const report = (one: Heard, disagreements: string[] = []): SimulateReport => {
      const rules = {
        thresholdPdus: 100,
        minAgeMs: 5000,
        endedAt: at + 1000,
        dead: new Set<string>(),
        quietJoins: [],
      }
      const plan = planStory({ servers: 6, rooms: 8, events: 200, seed: 1 })
      const limpet = { lapsed: 0, replayed: 0, disagreements }
      const verdict = judgeRun(told, [one], rules)
      return { plan, verdict, edus: [], limpet, found: ['3.2'], seconds: 1.5 }
    }
    const shown = (one: SimulateReport, width = Infinity) => showReport(one, plainScreen(width))
    const ofEdus: EduVerdict = {
      ...{ server, owed: 1_234, received: 1_200, leftOut: 0, pending: 34, missing: [], notEntitled: [] },
      ...{ stale: [], repeats: 0, resyncs: 0, faults: [] },
    }

    it('what is good of EDUs, where the traffic had some', () => {
      const good = { ...report(heard('$one')), edus: [ofEdus] }
      expect(complaintOf(good)).to.equal(null)
      expect(shown(good)).to.match(
        /^EDUs: 1,234 durable ones owed: 1,200 received, 34 pending for the dead one\.$/m,
      )
      expect(jsonOf(good)).to.deep.include({ good: true })
      expect(shown(report(heard('$one')))).not.to.include('EDUs')
    })

    for (const [bad, line] of [
      [{ missing: ['m1 of @a:us'] }, 'EDU m1 of @a:us is missing'],
      [{ notEntitled: ['m1'] }, 'received EDU m1 without being entitled to it'],
      [{ stale: ['typing'] }, 'EDU typing is the newest of its kind, and did not come'],
      [{ faults: ['message m1 came again'] }, 'message m1 came again'],
    ] as const) {
      it(`what is bad of EDUs: ${line}`, () => {
        const said = { ...report(heard('$one')), edus: [{ ...ofEdus, ...bad }] }
        expect(complaintOf(said)).to.match(/other faults 1$/)
        expect(shown(said)).to.include(`Faults:\n  ${server}: ${line}\n`)
        expect(jsonOf(said)).to.include({ good: false })
      })
    }

    it('what is good', () => {
      const good = report(heard('$one'))
      expect(complaintOf(good)).to.equal(null)
      expect(shown(good)).to.match(/^127.0.0.1:12345 +1 +1 +0 +0 {2}was away$/m)
      expect(shown(good)).to.match(/^missing 0, not entitled 0, replayed 0, lapsed 0$/m)
      expect(shown(good)).to.match(/^Found: 1 by \.well-known \(step 3\.2\)\.$/m)
      expect(shown(good)).to.match(/^good: 200 events in 8 rooms to 6 servers in 1.5 s, seed 1$/m)
    })

    for (const [what, bad, complaint, line] of [
      ['what is missing', report(heard()), 'missing 1, not entitled 0, other faults 0', '$one is missing'],
      [
        'what somebody should not have',
        report(heard('$one', '$two')),
        'missing 0, not entitled 1, other faults 1',
        'received $two without being entitled to it',
      ],
      [
        'what a server holds against limpet',
        report({ ...heard('$one'), violations: ['refused with 400: 51 PDUs'] }),
        'missing 0, not entitled 0, other faults 1',
        'refused with 400: 51 PDUs',
      ],
    ] as const) {
      it(`${what}, and fails`, () => {
        expect(complaintOf(bad)).to.equal(`the run failed: ${complaint}`)
        expect(shown(bad)).to.include(`Faults:\n  ${server}: ${line}\n`)
        expect(shown(bad)).to.match(/^BAD: /m)
        expect(jsonOf(bad)).to.include({ good: false })
      })
    }

    it('where limpet itself says otherwise, and fails', () => {
      const bad = report(heard('$one'), ['sticky replays: limpet counts 3, but the servers saw 2'])
      expect(complaintOf(bad)).to.match(/other faults 1$/)
      expect(shown(bad)).to.include('Faults:\n  sticky replays: limpet counts 3, but the servers saw 2\n')
    })

    it('by which step each server was found', () => {
      const found = ['3.2', '4', '1', '6', '3.3', '5', null, '2', '3.2'] as const
      expect(foundText(found)).to.equal(
        'Found: 3 by .well-known (steps 3.2, 3.3); 2 by SRV records (steps 4, 5); 1 by the usual port (step 6); ' +
          '1 by a name with a port (step 2); 1 by an address (step 1); 1 not at all.',
      )
      expect(wrongSteps(found.slice(0, 2), ['a', 'b'])).to.deep.equal([])
      expect(wrongSteps(['6', null], ['a', 'b'])).to.deep.equal([
        'a: found by step 6, not by step 3.2',
        'b: found by no step, not by step 4',
      ])
    })

    it('no line wider than the screen', () => {
      const long = report({ ...heard('$one'), violations: [`transaction ${'x'.repeat(300)} came again`] })
      for (const width of [80, 100])
        for (const line of shown(long, width).split('\n')) expect(line.length).to.be.at.most(width)
    })
  })
})
