/** A line of the table, and how figures are written in it. */
import type { Thread } from './costs.ts'
import type { Resident } from './resident.ts'
import { overReceivers, type Window } from './window.ts'

export interface Line {
  what: string
  figure: string
  /** For the ratio to the raw loop. */
  perSecond?: number
  /** That ratio, where it is one to a raw loop of its own. */
  ofRaw?: number
  /** Processor time of who sends over that of the receivers, and how busy the sender's main thread was. */
  overReceivers?: number | null
  thread?: Thread | null
  aim?: {
    text: string
    /** Whether it was met, the raw loop (transactions a second) being so fast; null: it can't be told. */
    met: (raw: number | null) => boolean | null
  }
  note: string
}

export const whole = (figure: number) => Math.round(figure).toLocaleString('en-US')

export const atMost = (most: number, unit: string, figure: number) => ({
  text: `<= ${whole(most)}${unit}`,
  met: () => figure <= most,
})
export const below = (limit: number, unit: string, figure: number) => ({
  text: `< ${whole(limit)}${unit}`,
  met: () => figure < limit,
})
export const atLeast = (least: number, unit: string, figure: number) => ({
  text: `>= ${whole(least)}${unit}`,
  met: () => figure >= least,
})

export const few = (figure: number) => figure.toLocaleString('en-US', { maximumFractionDigits: 2 })

/** What a window says in the columns that many lines have. */
export const shares = (window: Window) => ({
  overReceivers: overReceivers(window),
  thread: window.thread,
})

/** What PostgreSQL did for one transaction. */
export function databaseLine({ database }: Pick<Window, 'database'>, one = 'a transaction'): Line {
  return {
    what: `  ${one}`,
    figure: database === null ? '?' : `${few(database.statements)} statements`,
    note: database === null ? '' : `${few(database.blocks)} blocks, ${whole(database.walBytes)} B of WAL`,
  }
}

export function cpuOf({ cpuUs }: Pick<Window, 'cpuUs'>, one = 'txn'): string {
  const known = Object.entries(cpuUs).flatMap(([name, us]) => (us === null ? [] : [`${name} ${whole(us)}`]))
  return known.length === 0 ? '' : `CPU µs/${one}: ${known.join(', ')}`
}

export const megabytes = (mb: number | undefined) => (mb === undefined ? '?' : `${whole(mb)} MB`)
export const residentNote = (resident: Resident | null) =>
  resident === null ? 'Linux only' : `${whole(resident.now)} MB at the end`
