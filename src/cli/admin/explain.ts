/** `limpet explain EVENT_ID`: what became of one event, or to-device message, for each destination it concerned. */
import type { EventAnswer } from './answers.ts'
import { moment, momentFrom, numberText } from './ages.ts'
import type { Screen, Tint } from '../screen.ts'
import { table } from './table.ts'
import { facts, remark, type Fact } from './wrap.ts'

/** More lines than this do not help: what went well is left out first. */
const MOST_ROWS = 100

type Line = EventAnswer['destinations'][number]

/** What waits for somebody or something first, then what will not be sent any more, then what went well. */
const RANKS = ['set_aside', 'held', 'pending', 'lapsed', 'given_up', 'skipped', 'not_entitled']
const DONE = ['acknowledged', 'delivered']
const TINTS: Readonly<Record<string, Tint>> = {
  ...{ set_aside: 'trouble', held: 'trouble', lapsed: 'trouble', given_up: 'trouble' },
  ...{ pending: 'warning', skipped: 'warning', delivered: 'good', acknowledged: 'good' },
}

export function showExplain(event: EventAnswer, now: number, screen: Screen, all = false): string {
  const counts = new Map<string, number>()
  for (const { outcome } of event.destinations) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
  const summary = [...counts].map(([outcome, count]) => `${numberText(count)} ${said(outcome)}`)
  const what: Fact[] =
    event.message_id === undefined
      ? [
          ['event', { id: event.event_id ?? '-' }],
          ['room', { id: event.room_id ?? '-' }],
        ]
      : [['to-device message', { id: event.message_id }]]
  const head = facts(
    [
      ...what,
      ['position', event.position],
      ['received', momentFrom(event.received, now)],
      ['sticky until', event.sticky_until && momentFrom(event.sticky_until, now)],
      ['destinations', summary.length === 0 ? 'none: it is for no remote server' : summary.join(', ')],
    ],
    screen,
  )
  const rows = event.destinations
    .toSorted((a, b) => rankOf(a) - rankOf(b))
    .slice(0, all ? Infinity : MOST_ROWS)
  const hidden = event.destinations.length - rows.length
  return [
    head,
    ...(rows.length === 0 ? [] : ['', linesTable(rows, screen)]),
    ...(hidden === 0 ? [] : [`… and ${numberText(hidden)} more: --destination shows one, --all all`]),
  ].join('\n')
}

function rankOf({ outcome }: Line): number {
  const place = RANKS.indexOf(outcome)
  if (place !== -1) return place
  // An outcome of a later release is worth a look.
  return DONE.includes(outcome) ? RANKS.length + DONE.indexOf(outcome) : -1
}

/** With each line's `why` below it. */
function linesTable(rows: readonly Line[], screen: Screen): string {
  return table(
    rows,
    [
      { title: 'DESTINATION', value: (row) => row.destination, id: 'destination' },
      { title: 'OUTCOME', value: (row) => said(row.outcome), tint: (row) => TINTS[row.outcome] ?? null },
      { title: 'SENT AS', value: (row) => row.as && said(row.as) },
      { title: 'AT (UTC)', value: (row) => moment(row.at) },
      { title: 'TRANSACTION', value: (row) => row.txn_id, id: 'transaction' },
    ],
    screen,
    ({ why, destination }) => (why === null ? null : remark(why, screen, [destination])),
  )
}

const said = (word: string) => word.replaceAll('_', ' ')
