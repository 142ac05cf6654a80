/** The one table at the end: figures, and for the traffic its ratio to the raw loop of the same run. */
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { table } from '../../src/cli/table.ts'
import { version } from '../../src/version.ts'
import type { LargeRoom } from './large-room.ts'
import type { Steady } from './steady.ts'
import type { Window } from './window.ts'
import type { WriteSide } from './write-side.ts'

interface Line {
  what: string
  figure: string
  ratio: string | null
  note: string
}

export interface Report {
  raw(window: Window): void
  steady(queue: string, steady: Steady): void
  writeSide(queue: string, side: WriteSide): void
  largeRoom(queue: string, room: LargeRoom): void
  leftOut(what: string): void
  text(): string
}

const whole = (figure: number) => Math.round(figure).toLocaleString('en-US')

export function makeReport(): Report {
  const raws: Window[] = []
  const later: ((raw: number | null) => Line)[] = []
  const left: string[] = []
  const add = (what: string, figure: string, note = '') =>
    later.push(() => ({ what, figure, ratio: null, note }))
  return {
    raw: (window) => raws.push(window),
    steady(queue, { window, transactionsPerTurn, latency }) {
      later.push((raw) => ({
        what: `steady, queue on ${queue}`,
        figure: `${whole(window.transactionsPerSecond)} txn/s`,
        ratio: raw === null ? null : (window.transactionsPerSecond / raw).toFixed(2),
        note: cpuOf(window),
      }))
      const pdus = window.pdusPerTransaction
      add('  PDUs', `${whole(window.transactionsPerSecond * pdus)} /s`, `${pdus.toFixed(2)} a transaction`)
      add('  transactions a turn', transactionsPerTurn.toFixed(2))
      add('  200 to received, median', `${latency.median.toFixed(1)} ms`, 'at 200 requests/s of one event')
      add(
        '  200 to received, p99',
        `${latency.p99.toFixed(1)} ms`,
        `the worst ${latency.worst.toFixed(0)} ms`,
      )
    },
    writeSide(queue, { walBytesPerEvent, batchesPerSecond, singlesPerSecond }) {
      for (const { servers, alone, inBatches } of walBytesPerEvent) {
        const note = `one a request; ${whole(inBatches)} B in batches of 500`
        add(`WAL, room of ${whole(servers)}, ${queue}`, `${whole(alone)} B/event`, note)
      }
      add(`ingest, batches of 500, ${queue}`, `${whole(batchesPerSecond)} events/s`, '2 producers')
      add(
        `ingest, 200 requests at once, ${queue}`,
        `${whole(singlesPerSecond)} events/s`,
        'one event a request',
      )
    },
    largeRoom(queue, { servers, firstContact, connected }) {
      const note = 'with the TLS handshakes of both sides'
      add(`${whole(servers)} servers, first contact, ${queue}`, `${firstContact.toFixed(1)} s`, note)
      add(
        `${whole(servers)} servers, connected, ${queue}`,
        `${connected.toFixed(1)} s`,
        '200 to the last delivery',
      )
    },
    leftOut: (what) => left.push(what),
    text() {
      const raw =
        raws.length === 0 ? null : raws.reduce((sum, one) => sum + one.transactionsPerSecond, 0) / raws.length
      const rawLines = raws.map((window, index) => ({
        what: `raw loop, ${index === 0 ? 'before' : 'after'}`,
        figure: `${whole(window.transactionsPerSecond)} txn/s`,
        ratio: raw === null ? null : (window.transactionsPerSecond / raw).toFixed(2),
        note: cpuOf(window),
      }))
      const lines = [...rawLines, ...later.map((line) => line(raw))]
      return [
        machine(),
        '',
        table(lines, [
          { title: 'MEASURED', value: ({ what }) => what },
          { title: 'FIGURE', value: ({ figure }) => figure, right: true },
          { title: 'OF RAW', value: ({ ratio }) => ratio, right: true },
          { title: 'NOTE', value: ({ note }) => note },
        ]),
        ...left.map((what) => `left out: ${what}`),
      ].join('\n')
    },
  }
}

function cpuOf({ cpuUs }: Window): string {
  const known = Object.entries(cpuUs).flatMap(([name, us]) => (us === null ? [] : [`${name} ${whole(us)}`]))
  return known.length === 0 ? '' : `CPU µs/txn: ${known.join(', ')}`
}

function machine(): string {
  const cores = cpus()
  const commit = gitCommit()
  return `limpet ${version}${commit}, Node ${process.versions.node}, ${cores.length} cores (${cores[0]?.model ?? 'unknown'})`
}

function gitCommit(): string {
  try {
    const told = execFileSync('git', ['rev-parse', '--short', 'HEAD'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return ` at ${told.toString().trim()}`
  } catch {
    return ''
  }
}
