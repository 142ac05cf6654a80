/**
 * The error with which a command ends: one line on standard error and an exit status, 1 for a failure, 2 for usage,
 * configuration or schema (contract, section 1).
 */
import { ConfigError } from '../config/error.ts'
import { KeyFileError } from '../matrix/key-file-error.ts'
import { maskUrls } from '../observe/secrets.ts'
import { EmbeddedError } from '../embedded/program.ts'
import { SynapseRefused } from '../ingest/synapse/refused.ts'
import { UnfitDatabaseError } from '../store/fitness.ts'
import { SchemaError } from '../store/schema-error.ts'
import { QueueError } from '../../queues/queue-error.ts'

/** The command line asks for something that there isn't: exit 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What was asked could not be done; the message is the one line to show: exit 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
}

/** Something that was to be checked could not be asked, so nothing is known to be wrong: exit 1. */
export class UncheckedError extends CommandError {}

export function exitStatusOf(error: unknown): 1 | 2 {
  if (error instanceof UsageError || error instanceof ConfigError) return 2
  if (error instanceof KeyFileError || error instanceof SchemaError) return 2
  if (error instanceof SynapseRefused) return 2
  // A standby may be the primary in a minute: starting us again is right.
  if (error instanceof UnfitDatabaseError) return error.passing ? 1 : 2
  if (error instanceof EmbeddedError) return error.code === 'EMBEDDED_VERSION' ? 2 : 1
  if (error instanceof QueueError) return error.code === 'unreachable' ? 1 : 2
  return 1
}

/** The one line. For an error that was not expected it also says where in the program it happened. */
export function lineOf(error: unknown): string {
  if (!(error instanceof Error)) return maskUrls(joinLines(String(error)))
  const message = maskUrls(joinLines(error.message || error.name))
  const unexpected = ['TypeError', 'RangeError', 'ReferenceError', 'SyntaxError'].includes(error.name)
  const at = unexpected ? /\n {2,8}at (.*)/.exec(error.stack ?? '')?.[1] : undefined
  return at === undefined ? message : `${error.name}: ${message} (at ${at})`
}

/** Lines, and the space around their ends, as one line. In a time that grows with the length and no faster. */
export function joinLines(text: string): string {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '').join(' ')
}
