/**
 * The log: JSON lines on standard output, or readable lines on a terminal.
 *
 * Promises: no token, password or Authorization header is written under any of its usual names, from any part of
 * limpet. The configuration's secrets and the passwords of URLs are masked wherever they appear in a message or an
 * error (`secrets.ts`). No text from elsewhere brings control characters to a terminal (`printable.ts`).
 */
import { createRequire } from 'node:module'
import { pino } from 'pino'
import type * as Pretty from 'pino-pretty'
import { printableJson, withPrintableStrings } from './printable.ts'
import { makeSecrets, type Secrets } from './secrets.ts'

export type Log = pino.Logger

export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent'

const SECRET_KEYS = ['token', 'tokens', 'authorization', 'password', 'secret', 'seed', 'connectionString']

/** `pretty: 'auto'` means: where `stream` is a terminal. */
export function makeLog({
  level,
  pretty,
  stream = process.stdout,
  secrets = makeSecrets(),
}: {
  level: LogLevel
  pretty: boolean | 'auto'
  /** What must be in no line. */
  secrets?: Secrets | undefined
  stream?: { write(text: string): unknown; isTTY?: boolean; lost?(): number }
}): Log {
  const readable = pretty === 'auto' ? stream.isTTY === true : pretty
  // No stream of its own in between: the last line before an exit is written too.
  const made = readable ? makeReadable(stream.isTTY === true) : null
  const shown = (line: string) => (made === null ? printableJson(line) : made(withPrintableStrings(line)))
  let told = 0
  const log = pino(
    {
      level,
      base: null,
      redact: {
        paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
        censor: '[masked]',
      },
      serializers: { err: serializeError },
    },
    // Every line passes here, also an error's message that some library made with a connection URL in it.
    { write },
  )
  return log

  function write(line: string): void {
    const before = stream.lost?.() ?? 0
    stream.write(shown(secrets.hide(line)))
    const lost = stream.lost?.() ?? 0
    if (lost > before || lost === told) return
    // This one went through again: a reader of the log should know that something is missing before it.
    const missing = lost - told
    told = lost
    log.warn(
      { lost: missing },
      'log lines before the previous one were lost because standard output did not accept them',
    )
  }
}

/** Loads pino-pretty only when it is wanted: a daemon whose log goes to a file or the journal never loads it. */
function makeReadable(colorize: boolean): (line: string) => string {
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof Pretty
  return prettyFactory({ colorize })
}

/** What an operator needs of an error. Not its other properties: a database error carries its whole client. */
function serializeError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack, cause } = error
  const code = (error as { code?: unknown }).code
  return {
    type: name,
    message,
    ...(typeof code === 'string' ? { code } : {}),
    stack,
    ...(cause instanceof Error ? { cause: cause.message } : {}),
  }
}
