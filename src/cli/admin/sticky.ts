/** `limpet sticky`: unexpired sticky events, and the destinations that each is still owed to. */
import type { StickyAnswer } from './answers.ts'
import { distance, table } from './table.ts'

export function showSticky({ sticky, total }: StickyAnswer, now: number): string {
  const footer = `${sticky.length.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}`
  if (sticky.length === 0) return footer
  const rows = table(sticky, [
    { title: 'EVENT', value: (row) => row.event_id, shrinkTo: 16 },
    { title: 'ROOM', value: (row) => row.room_id, shrinkTo: 16 },
    { title: 'SENDER', value: (row) => row.sender, shrinkTo: 14 },
    { title: 'LAPSES', value: (row) => distance(row.expires_at, now), right: true },
    { title: 'HAVE IT', value: (row) => row.delivered, right: true },
    { title: 'OWED', value: (row) => row.owed_to.length, right: true },
    { title: 'OWED TO', value: ({ owed_to }) => owed_to.slice(0, 2).join(' ') || null, shrinkTo: 16 },
  ])
  return `${rows}\n${footer}`
}
