/** `limpet explain EVENT_ID`: what became of one event, or to-device message, for each destination it concerned. */
import type { EventAnswer } from './answers.ts'
import { distance, facts, moment, table, wrap } from './table.ts'

/** More lines than this do not help: what went well is left out first. */
const MOST_ROWS = 100

type Line = EventAnswer['destinations'][number]

export function showExplain(event: EventAnswer, now: number): string {
  const counts = new Map<string, number>()
  for (const { outcome } of event.destinations) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  const summary = [...counts].map(([outcome, count]) => `${count.toLocaleString('en-US')} ${said(outcome)}`)
  const head = facts([
    ...(event.message_id === undefined
      ? ([
          ['event', event.event_id],
          ['room', event.room_id],
        ] as const)
      : ([['to-device message', event.message_id]] as const)),
    ['position', event.position],
    ['received', `${moment(event.received) ?? ''} (${distance(event.received, now) ?? ''})`],
    [
      'sticky until',
      event.sticky_until &&
        `${moment(event.sticky_until) ?? ''} (${distance(event.sticky_until, now) ?? ''})`,
    ],
    ['destinations', summary.length === 0 ? 'none: it is for no remote server' : summary.join(', ')],
  ])
  const troubled = event.destinations.filter(({ outcome }) => outcome !== 'delivered')
  const fine = event.destinations.filter(({ outcome }) => outcome === 'delivered')
  const rows =
    event.destinations.length <= MOST_ROWS ? event.destinations : [...troubled, ...fine].slice(0, MOST_ROWS)
  const hidden = event.destinations.length - rows.length
  return [
    head,
    ...(rows.length === 0 ? [] : ['', withReasons(rows)]),
    ...(hidden === 0
      ? []
      : [`… and ${hidden.toLocaleString('en-US')} more: --destination shows one, --json all`]),
  ].join('\n')
}

/** The table with each line's `why` below it. */
function withReasons(rows: readonly Line[]): string {
  const [titles = '', ...lines] = table(rows, [
    { title: 'DESTINATION', value: (row) => row.destination, shrinkTo: 20 },
    { title: 'OUTCOME', value: (row) => said(row.outcome) },
    { title: 'AS', value: (row) => row.as && said(row.as) },
    { title: 'AT', value: (row) => moment(row.at) },
    { title: 'TRANSACTION', value: (row) => row.txn_id, shrinkTo: 10 },
  ]).split('\n')
  const explained = lines.map((line, index) => {
    const why = rows[index]?.why ?? null
    return why === null ? line : `${line}\n${wrap(`    ${why}`, 4)}`
  })
  return [titles, ...explained].join('\n')
}

const said = (word: string) => word.replaceAll('_', ' ')
