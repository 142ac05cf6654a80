/**
 * The one table at the end: figures, for the traffic its ratio to the raw loop of the same run, the sender's processor time over that of the
 * receivers, and what was aimed at.
 */
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { table } from '../../src/cli/admin/table.ts'
import { version } from '../../src/daemon/version.ts'
import { cpuOf, shares, whole, type Line } from './line.ts'
import type { Window } from './window.ts'

export interface Report {
  raw(window: Window): void
  add(lines: readonly Line[]): void
  leftOut(what: string): void
  text(): string
}

const WIDTH = 210

export function makeReport(): Report {
  const raws: Window[] = []
  const others: Line[] = []
  const left: string[] = []
  return {
    raw: (window) => raws.push(window),
    add: (lines) => others.push(...lines),
    leftOut: (what) => left.push(what),
    text() {
      const raw =
        raws.length === 0 ? null : raws.reduce((sum, one) => sum + one.transactionsPerSecond, 0) / raws.length
      const rawLines = raws.map((window, index) => ({
        what: `raw loop, ${index === 0 ? 'before' : 'after'}`,
        figure: `${whole(window.transactionsPerSecond)} txn/s`,
        perSecond: window.transactionsPerSecond,
        ...shares(window),
        note: cpuOf(window),
      }))
      const ratioOf = ({ perSecond, ofRaw }: Line) =>
        (ofRaw ?? (raw === null || perSecond === undefined ? null : perSecond / raw))?.toFixed(2) ?? null
      return [
        machine(),
        '',
        table<Line>(
          [...rawLines, ...others],
          [
            { title: 'MEASURED', value: ({ what }) => what },
            { title: 'FIGURE', value: ({ figure }) => figure, right: true },
            { title: 'OF RAW', value: ratioOf, right: true },
            { title: 'CPU/RECV', value: (line) => line.overReceivers?.toFixed(2) ?? null, right: true },
            { title: 'THREAD', value: threadOf, right: true },
            { title: 'AIM', value: (line) => aimOf(line, raw) },
            { title: 'NOTE', value: ({ note }) => note },
          ],
          WIDTH,
        ),
        ...left.map((what) => `left out: ${what}`),
      ].join('\n')
    },
  }
}

function threadOf({ thread }: Line): string | null {
  if (!thread) return null
  return `${thread.had.toFixed(2)} of ${thread.wanted.toFixed(2)}`
}

function aimOf({ aim }: Line, raw: number | null): string | null {
  if (aim === undefined) return null
  const met = aim.met(raw)
  return met === null ? aim.text : `${aim.text} ${met ? 'met' : 'MISSED'}`
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
