/** What a statement of `src/store` is here: what the one of that name does. */
import type { DELIVERY, INGEST, UPKEEP } from '../../../src/store/statement-names.ts'
import { nameIn } from '../../../src/store/statement.ts'
import type { NOT_RUN } from '../not-run.ts'
import type { Rules } from './rules.ts'
import type { Tables } from './tables.ts'

/** Statements of which the model has a twin, or says why not. */
export type ModelStatement = (typeof INGEST)[number] | (typeof DELIVERY)[number] | (typeof UPKEEP)[number]

/** In the place of a partition that goes (`housekeeper.ts`). */
export const DROP_OLD = 'drop the old part of the log'

export type TwinName = Exclude<ModelStatement, keyof typeof NOT_RUN> | typeof DROP_OLD

export interface Call {
  t: Tables
  /** The database's time, ms since the epoch. */
  now: number
  rules: Rules
  /** The next number of an identity column. */
  next: (sequence: 'rooms' | 'destinations' | 'recipients' | 'gaps' | 'edu_rooms') => number
  /** Advisory locks of the transaction. */
  lock: (key: string, how: 'exclusive' | 'shared') => void
}

/** Rows; or how many were written. */
export type Result = object[] | number

export type Run = (call: Call, values: readonly never[]) => Result

/** Some of them. */
export type Twins = Partial<Record<TwinName, Run>>

/** What `inTransaction` begins with. */
export const isBegin = (text: string): boolean => text === 'begin isolation level read committed'

/** Values arrive as node-postgres sends them: arrays as arrays, JSON as text. */
// The type of the values says what each of them is.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function twin<V extends readonly unknown[]>(run: (call: Call, ...values: V) => Result): Run {
  return (call, values) => run(call, ...(values as unknown as V))
}

const known = new Map<string, string>()

/** @throws Error for a text that has no name */
export function nameOf(text: string): string {
  const found = known.get(text)
  if (found !== undefined) return found
  const name = nameIn(text)
  if (name === null) throw new Error(`this statement has no name: ${text}`)
  known.set(text, name)
  return name
}
