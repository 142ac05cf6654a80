/** What a statement of `src/store` is here: how it is known by its text, and what it does. */
import type { Rules } from './rules.ts'
import type { Tables } from './tables.ts'

export interface Call {
  t: Tables
  /** The database's time, ms since the epoch. */
  now: number
  rules: Rules
  /** The next number of an identity column. */
  next: (sequence: 'rooms' | 'destinations' | 'recipients' | 'gaps') => number
  /** Advisory locks of the transaction. */
  lock: (key: string, how: 'exclusive' | 'shared') => void
}

/** Rows; or how many were written. */
export type Result = object[] | number

export type Run = (call: Call, values: readonly never[]) => Result

export interface Statement {
  /** As stories and breaks call it. */
  name: string
  /** Fits the text, white space being one space, and no other statement's. */
  text: RegExp
  run: Run
}

/** What `inTransaction` begins with. */
export const isBegin = (text: string): boolean => text === 'begin isolation level read committed'

/** Values arrive as node-postgres sends them: arrays as arrays, JSON as text. */
// The type of the values says what each of them is.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
export function statement<V extends readonly unknown[]>(
  name: string,
  text: RegExp,
  run: (call: Call, ...values: V) => Result,
): Statement {
  return { name, text, run: (call, values) => run(call, ...(values as unknown as V)) }
}
