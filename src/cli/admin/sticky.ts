/** `limpet sticky`: unexpired sticky events, and the destinations that each is still owed to. */
import type { StickyAnswer } from './answers.ts'
import { distance, numberText, shownOf } from './ages.ts'
import type { Screen } from '../screen.ts'
import { table } from './table.ts'
import { remark } from './wrap.ts'

/** So many of those that an event is owed to are named. */
const NAMED = 5

export function showSticky({ sticky, total }: StickyAnswer, now: number, screen: Screen): string {
  const footer = shownOf(sticky.length, total)
  if (sticky.length === 0) return footer
  const rows = table(
    sticky,
    [
      { title: 'EVENT', value: (row) => row.event_id, id: 'event' },
      { title: 'ROOM', value: (row) => row.room_id, id: 'room' },
      { title: 'SENDER', value: (row) => row.sender, id: 'sender' },
      { title: 'LAPSES', value: (row) => distance(row.expires_at, now), right: true },
      { title: 'HAVE IT', value: (row) => row.delivered, right: true },
      {
        title: 'OWED',
        value: (row) => row.owed_to.length,
        right: true,
        tint: (row) => (row.owed_to.length === 0 ? null : 'warning'),
      },
    ],
    screen,
    ({ owed_to }) => owedText(owed_to, screen),
  )
  return `${rows}\n${footer}`
}

function owedText(names: readonly string[], screen: Screen): string | null {
  if (names.length === 0) return null
  const more = names.length - NAMED
  const rest = more > 0 ? ` and ${numberText(more)} more (--json has all)` : ''
  return remark(`owed to ${names.slice(0, NAMED).join(', ')}${rest}`, screen, names)
}
