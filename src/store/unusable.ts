/**
 * Why could a database not be used? One line for an operator: what happened and what to look at. The words are the
 * same wherever a database is opened: by the daemon, by a command, for a source.
 */
import { placeOf } from '../config/url.ts'
import { isUnavailable } from './db.ts'
import { UnfitDatabaseError } from './fitness.ts'
import { isReadOnly } from './takes-writes.ts'

export class UnusableDatabaseError extends Error {
  override readonly name = 'UnusableDatabaseError'
  readonly code = 'UNREACHABLE'
}

export interface Used {
  url: string
  /** For people. Default: the database. */
  named?: string
  /** Nothing but whether it can be used was asked: whatever went wrong, it can't. */
  connecting?: boolean
}

/** The error that says so; `error` itself where it is about something else, or says it already. */
export function unusable(error: unknown, { url, named = 'the database', connecting = false }: Used): unknown {
  if (error instanceof UnfitDatabaseError || error instanceof UnusableDatabaseError) return error
  // A name with several addresses: why the first one failed.
  const first: unknown = error instanceof AggregateError ? (error.errors[0] ?? error) : error
  const why = wordsOf(first)
  const what = isReadOnly(first)
    ? `accepts no writes (${why}): use the address of the primary`
    : isUnavailable(first)
      ? `can't be reached (${why}): is it running, and is the address right?`
      : isRefused(first)
        ? `refused the login (${why}): check user, password and database name`
        : connecting
          ? `can't be used: ${why}`
          : null
  return what === null
    ? error
    : new UnusableDatabaseError(`${named} at ${placeOf(url)} ${what}`, { cause: error })
}

const codeOf = (error: unknown): string => String((error as { code?: unknown } | null)?.code)

/** 28: wrong user or password; 3D: no such database. */
const isRefused = (error: unknown): boolean => /^(28|3D)/.test(codeOf(error))

const wordsOf = (error: unknown): string =>
  error instanceof Error && error.message !== '' ? error.message : codeOf(error)
