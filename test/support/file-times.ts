/**
 * Which test files take longest, and do they work or wait? A file's time is from the end of the one before it in the same
 * process to its own end, so that loading it and starting servers for it count; its processor time is that of the process
 * and of all it has started. Little of the second in much of the first is a file that waits.
 *
 * Files that run beside each other run in processes of their own: each writes a line a file where the reporter reads it.
 */
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { cpuMs } from './cpu.ts'

export interface FileTime {
  file: string
  ms: number
  /** Null where it can't be told. */
  cpuMs: number | null
}

/** Names the file with the lines. Not LIMPET_…: to limpet that would be a setting. */
const NOTES = 'MOCHA_FILE_TIMES'
const SHOWN = 10

/** Measures one file after another in this process. */
export function makeStopwatch(): { ended(file: string): FileTime } {
  // The process has done nothing yet but get ready for its first file.
  let before = { at: performance.now() - process.uptime() * 1000, cpu: 0 as number | null }
  return {
    ended(file) {
      const now = { at: performance.now(), cpu: cpuMs(process.pid) }
      // A server that outlived who started it is counted no more: then the sum gets smaller.
      const cpu = now.cpu === null || before.cpu === null ? null : Math.max(0, now.cpu - before.cpu)
      const time = { file, ms: now.at - before.at, cpuMs: cpu }
      before = now
      return time
    },
  }
}

const stopwatch = makeStopwatch()

/** In the process that starts the others. What they noted is shown after everything else is cleared: it goes at the exit. */
export function expectNotes(): void {
  const folder = mkdtempSync(join(tmpdir(), 'limpet-times-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  process.env[NOTES] = join(folder, 'notes')
}

/** In one of several processes, when a file has ended. */
export function noteFile(file: string | undefined): void {
  const notes = process.env[NOTES]
  if (notes !== undefined && file !== undefined)
    appendFileSync(notes, `${JSON.stringify(stopwatch.ended(file))}\n`)
}

/** In the process that started the others: what they noted. */
export function takeNotes(): FileTime[] {
  const notes = process.env[NOTES]
  if (notes === undefined) return []
  try {
    const lines = readFileSync(notes, 'utf8').trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line) as FileTime)
  } catch {
    return []
  }
}

const seconds = (ms: number | null) => (ms === null ? '-' : (ms / 1000).toFixed(1)).padStart(7)

/** The slowest, for people: seconds, seconds of processor time, and the file's name as seen from here. */
export function slowest(times: readonly FileTime[], shown = SHOWN): string[] {
  if (times.length < 2) return []
  const line = ({ ms, cpuMs, file }: FileTime) => `${seconds(ms)} ${seconds(cpuMs)}  ${file}`
  const sum = (of: (time: FileTime) => number | null) =>
    times.reduce<number | null>((all, time) => {
      const one = of(time)
      return all === null || one === null ? null : all + one
    }, 0)
  const all = {
    file: `all ${times.length} files`,
    ms: sum(({ ms }) => ms) ?? 0,
    cpuMs: sum((time) => time.cpuMs),
  }
  return [
    'slowest: seconds, seconds of processor time',
    ...[...times]
      .sort((a, b) => b.ms - a.ms)
      .slice(0, shown)
      .map((time) => line({ ...time, file: relative('.', time.file) })),
    line(all),
  ]
}
