/** Which statements did the schedules never run? None may be forgotten: each is run, or `not-run.ts` says why not. */
import { DELIVERY, INGEST, UPKEEP } from '../../src/store/statement-names.ts'
import { NOT_RUN } from './not-run.ts'

const REASONS: Readonly<Record<string, string>> = NOT_RUN

export interface NeverRun {
  /** For people. */
  lines: string
  /** Never run, and nobody has said why. */
  unexplained: string[]
  /** They have a reason and were run all the same. */
  run: string[]
}

/** `ran`: the names of what was run. */
export function neverRun(ran: ReadonlySet<string>): NeverRun {
  const never = [...INGEST, ...DELIVERY, ...UPKEEP].filter((name) => !ran.has(name))
  const byReason = new Map<string, string[]>()
  for (const name of never) {
    const reason = REASONS[name] ?? 'nobody has said why'
    byReason.set(reason, [...(byReason.get(reason) ?? []), name])
  }
  const lines = [...byReason].map(([reason, names]) => `\n        ${names.join(', ')} (${reason})`)
  return {
    lines: `statements never run by the schedules: ${lines.length === 0 ? 'none' : lines.join('')}`,
    unexplained: never.filter((name) => REASONS[name] === undefined),
    run: Object.keys(REASONS).filter((name) => ran.has(name)),
  }
}
