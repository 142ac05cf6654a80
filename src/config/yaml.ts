/**
 * Reads YAML, and explains errors without quoting the text, because a line of the configuration may contain a secret.
 * It prints nothing itself.
 */
import { parseDocument } from 'yaml'

/** The value; null where there is none. What is wrong is thrown as what `fail` makes of it. */
export function parseSettings(text: string, fail: (what: string) => Error): unknown {
  const document = parseDocument(text, { logLevel: 'silent', prettyErrors: true })
  const [wrong] = [...document.errors, ...document.warnings]
  if (wrong !== undefined)
    throw fail(`not valid YAML: ${withoutQuote(wrong.message, wrong.code)}${placeOf(wrong)}`)
  try {
    return document.toJS() as unknown
  } catch {
    // An alias without an anchor, or aliases that would fill the memory; the message names them.
    throw fail(
      'not valid YAML: an alias (*name) that cannot be resolved; put quotes around a value that begins with *',
    )
  }
}

/** These end in, or hold, what stands in the file. */
const QUOTING = /^(?:BAD_DQ_ESCAPE|BAD_ALIAS|TAG_RESOLVE_FAILED|BAD_DIRECTIVE|BAD_PROP_ORDER)$/

function withoutQuote(message: string, code: string): string {
  if (QUOTING.test(code)) return code.toLowerCase().replaceAll('_', ' ')
  const [first = ''] = message.split('\n')
  return first.replace(/ at line \d+, column \d+:?$/, '').replace(/: .*$/, '')
}

function placeOf({
  linePos,
}: {
  linePos?: readonly [{ line: number; col: number }, ...unknown[]] | undefined
}): string {
  return linePos === undefined ? '' : ` at line ${linePos[0].line}, column ${linePos[0].col}`
}
