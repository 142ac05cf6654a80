/** The tables of `cases.ts` and `lifetimes.ts` as the page `docs/discovery-cases.md`, for people. */
import { format } from 'prettier'
import { CASES } from './cases.ts'
import { LIFETIMES } from './lifetimes.ts'
import type { Case, Page, Situation, Web } from './situation.ts'

const HEAD = `# Where each server name leads

What limpet connects to for a server name, and under which names: one row a case. The tests ask real servers on loopback what
a row says, connect to what comes of it, and compare each cell with what the servers saw (\`test/discovery/cases.test.ts\`).

Rows: D1 to D6 are the steps of the [specification][spec], "Resolving server names" (D3.3 is its step 3.3); D7 is for redirects,
D8 for what is remembered, D9 for the document, D10 and D12 for SRV records, D11 for names. Reports are numbers of public reports
of what went wrong in other servers. 443 and 8448 are the ports of the real world.

A web server answers 404, a name has no SRV record and one address, unless the row says otherwise. 127.0.66.1 stands for an
address that may not be connected to; a listener there counts who does, and counts nobody.

This page is written by \`npx tsx test/discovery/write-cases.ts\`.

[spec]: https://spec.matrix.org/latest/server-server-api/#resolving-server-names
`

const COLUMNS = [
  'Row',
  'Reports',
  'Case',
  'Server name',
  'Steps',
  'Connects to',
  'Host',
  'SNI',
  'Certificate for',
]

const LIFETIMES_HEAD = `## For how long an answer of \`.well-known\` counts

The headers of an answer that came at 08:00 on 29 November 2026, and how long it counts: a valid one, and a 404. Errors count for
a minute, and twice as long each time, up to an hour. In the last part of its time an answer is asked for again in the background.
`

/** As `prettier` leaves it. */
export function casesPage(): Promise<string> {
  const rows = CASES.map((one) => `| ${cellsOf(one).map(escaped).join(' | ')} |`)
  const table = [`| ${COLUMNS.join(' | ')} |`, `|${' --- |'.repeat(COLUMNS.length)}`, ...rows]
  const lifetimes = LIFETIMES.map(({ about, headers, valid, absent }) => {
    const told = Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== undefined)
    const said = told.map(([name, value]) => code(`${HEADER_NAMES[name] ?? name}: ${value}`)).join(', ')
    return `| ${[said, about, lasting(valid), lasting(absent)].map(escaped).join(' | ')} |`
  })
  const times = ['| Headers | | Valid | 404 |', '| --- | --- | --- | --- |', ...lifetimes]
  const page = [HEAD, ...table, '', LIFETIMES_HEAD, ...times, ''].join('\n')
  return format(page, { parser: 'markdown', printWidth: 110 })
}

function cellsOf(one: Case): string[] {
  const { row, reports = [], name, steps, found, failed } = one
  const head = [row, reports.join(', '), situationOf(one), code(name), steps.join(', ')]
  if (found === undefined) return [...head, `nothing: ${failed?.message ?? ''}`, '', '', '']
  const { connect, host, sni, certificate } = found
  return [
    ...head,
    connect.map(code).join(', '),
    code(host),
    sni === null ? 'none' : code(sni),
    code(certificate),
  ]
}

function situationOf({ about, situation, before }: Case): string {
  const told =
    before === undefined
      ? []
      : [`first ${inWords(before.situation) || 'nothing special'}, and after ${hours(before.laterMs)}`]
  const facts = [...told, inWords(situation)].filter((text) => text !== '')
  return facts.length === 0 ? about : `${about} (${facts.join(': ')})`
}

function inWords({ web = {}, srv = {}, addresses = {}, cnames = {} }: Situation): string {
  return [
    ...few(Object.entries(web).map(([at, what]) => `${code(at)} ${served(what)}`)),
    ...Object.entries(srv).map(
      ([at, what]) => `SRV ${code(at)} ${typeof what === 'string' ? what : what.map(code).join(', ')}`,
    ),
    ...Object.entries(addresses).map(
      ([at, what]) => `address of ${code(at)}: ${typeof what === 'string' ? what : what.join(', ')}`,
    ),
    ...Object.entries(cnames).map(([at, what]) => `CNAME of ${code(at)}: ${code(what)}`),
  ].join('; ')
}

/** A chain of eleven redirects is told by its ends. */
function few(texts: string[]): string[] {
  return texts.length < 5 ? texts : [...texts.slice(0, 2), '…', ...texts.slice(-1)]
}

function served(what: Web): string {
  return typeof what === 'string' ? what : pageInWords(what)
}

function pageInWords({ status = 200, headers = {}, body = '' }: Page): string {
  const { location, ...others } = headers
  const said = Object.entries(others).map(([name, value]) => code(`${name}: ${value}`))
  const text = body.length > 80 ? `${body.length} bytes` : code(body)
  return [
    String(status),
    ...(location === undefined ? [] : [`to ${code(location)}`]),
    ...said,
    ...(body === '' ? [] : [text]),
  ].join(' ')
}

const HEADER_NAMES: Readonly<Record<string, string>> = {
  ...{ cacheControl: 'Cache-Control', expires: 'Expires', date: 'Date', age: 'Age' },
}
const lasting = (minutes: number) => (minutes < 120 ? `${minutes} min` : `${minutes / 60} h`)
const hours = (ms: number) => `${ms / 3_600_000} h`
const code = (text: string) => (text === '' ? '' : `\`${text}\``)
const escaped = (text: string) => text.replaceAll('|', '\\|')
