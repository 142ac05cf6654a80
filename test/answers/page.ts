/** The table of `cases.ts` as the page `docs/answers.md`, for people. */
import { format } from 'prettier'
import { ANSWERS, type AnswerCase } from './cases.ts'

const HEAD = `# What becomes of each answer

What limpet makes of what comes back when it sends a transaction: one row a case. The tests have real servers on loopback
behave so, and compare each cell with what the daemon then says of that destination (\`test/answers/cases.test.ts\`).

- **Outcome** and **what an operator reads**: as in \`GET /v1/destinations/{server}/transactions\`. \`limpet_transactions_total{outcome}\` counts them.
- **Transaction**: _done_: it was answered, and what comes next has a new id. _Stays_: it may have arrived, so the same id and the same
  bytes go again (contract 5.2). _Made anew_: not a byte of it has left, so it is put together when its turn comes.
- **Next attempt**: _backoff_ is the destination's own, longer with each failure (\`federation.backoff\`). A time is the earliest, for
  everybody but an operator's \`reset\`; \`server_up\` shortens a 410's day.

Only a 200 with a JSON object, read whole, is an answer. What it says of a PDU is kept (\`pdu_errors\` of the transaction, \`limpet explain\`),
counted by what its text is about (\`limpet_pdu_errors_total{class}\`), and that PDU is done. Everything else is a failure of the attempt.
A whole answer that refuses (not a 410, 429, 413 or one with \`Retry-After\`) is counted: the second and third try follow soon, then an empty transaction asks whose fault it is (contract 5.9), and only then may
what stays here end. A 413 to more than one PDU ends it at once: what it held is planned anew under a smaller limit. Where a page of a proxy or a CDN comes
back, the message has its first words and its \`Server\` header.

This page is written by \`npx tsx test/answers/write-page.ts\`.
`

const COLUMNS = ['Answer', 'Outcome', 'Status', 'What an operator reads', 'Transaction', 'Next attempt']

/** As `prettier` leaves it. */
export function answersPage(): Promise<string> {
  const tables = Object.entries(ANSWERS).flatMap(([what, cases]) => [
    `## ${what}`,
    '',
    `| ${COLUMNS.join(' | ')} |`,
    `|${' --- |'.repeat(COLUMNS.length)}`,
    ...cases.map((one) => `| ${cellsOf(one).join(' | ')} |`),
    '',
  ])
  return format([HEAD, ...tables].join('\n'), { parser: 'markdown', printWidth: 110 })
}

function cellsOf({ about, outcome, status, message, pduError, transaction, next }: AnswerCase): string[] {
  const told = [message, pduError === undefined ? null : `of the PDU: ${pduError}`]
  return [
    about,
    `\`${outcome}\``,
    status === null ? '' : String(status),
    told.flatMap((text) => (text === null ? [] : [code(text)])).join(', '),
    transaction,
    typeof next === 'string' ? next : `not before ${next % 60 === 0 ? `${next / 60} h` : `${next} min`}`,
  ].map((cell) => cell.replaceAll('|', '\\|'))
}

const code = (text: string) => `\`${text}\``
