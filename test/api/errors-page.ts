/** `docs/errors.md`: the error codes of the HTTP API, and the exit statuses of the command line. */
import { ERROR_CODES, type Errcode } from '../../src/api/error-codes.ts'
import { OPERATIONS } from '../../src/api/openapi.ts'
import { refusalsOf } from '../../src/api/operation.ts'
import { EXITS } from './exits.ts'
import { asPage, table, WRITTEN_BY } from './markdown.ts'

const HEAD = `# Errors

What limpet refuses with, when, and what to do. What becomes of the answers of _other_ servers is in [answers](answers.md).

${WRITTEN_BY}

## HTTP

Every refusal is a Matrix error: \`{"errcode", "error"}\` with the HTTP status. \`error\` is for people, and may change; programs go by \`errcode\` and the status. For an item that is
wrong \`index\` (from 0) and \`path\` (dotted within the item) are there too.
`

const EXIT_HEAD = `## Exit statuses

A command ends with 0 when it has done what was asked, and else says in one line on standard error what is wrong and what to do. A daemon that is told to stop twice
ends at once, with 130 (SIGINT) or 143 (SIGTERM).
`

export function errorsPage(): Promise<string> {
  const codes = Object.entries(ERROR_CODES).map(([errcode, { statuses, when, todo }]) => [
    `\`${errcode}\``,
    statuses.join(', '),
    when,
    todo,
  ])
  const calls = OPERATIONS.map((one) => {
    const own = refusalsOf(one).filter(([, errcode]) => OF_CALLS.has(errcode))
    return [
      `\`${one.method} ${one.path}\``,
      own.map(([status, errcode, when]) => `${status} \`${errcode}\`: ${when}`),
    ] as const
  }).filter(([, own]) => own.length > 0)
  return asPage([
    HEAD,
    table(['Code', 'Status', 'When', 'What to do'], codes),
    'Those that only some calls answer:',
    '',
    table(
      ['Call', ''],
      calls.map(([call, own]) => [call, own.join('<br>')]),
    ),
    EXIT_HEAD,
    table(
      ['Status', 'When', 'What to do'],
      EXITS.map(({ status, when, todo }) => [String(status), when, todo]),
    ),
  ])
}

const OF_CALLS: ReadonlySet<Errcode> = new Set([
  ...(['M_NOT_FOUND', 'M_LIMIT_EXCEEDED', 'M_LIMPET_TOKEN_MISMATCH', 'M_LIMPET_PAUSED'] as const),
  ...(['M_LIMPET_BLOCKED', 'M_LIMPET_HELD', 'M_LIMPET_NOT_RESTORED'] as const),
])
