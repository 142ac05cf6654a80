/** `limpet preview NAME`: the next transaction, as it would be sent now. */
import type { PreviewAnswer } from './answers.ts'
import { ageText, facts, table, wrap } from './table.ts'

const AS = { timeline: 'timeline', catch_up: 'catch-up', sticky_replay: 'sticky replay' }

export function showPreview(answer: PreviewAnswer, now: number): string {
  const { destination, reason, pdus } = answer
  if (answer.catch_up_begins)
    return wrap(
      `a catch-up of ${destination} begins first: every unexpired sticky event that it missed, then the newest event of each room`,
      2,
    )
  if (answer.body === null) return wrap(`nothing would be sent to ${destination}: ${reason}`, 2)
  const { next_attempt: next } = answer
  const head = facts([
    ['destination', destination],
    ['transaction', answer.txn_id ?? 'not made yet: it gets its id when it is sent'],
    ...(answer.txn_id === null ? [] : ([['requests so far', answer.attempts]] as const)),
    ['size', `${answer.bytes} bytes`],
    ['now', reason],
    ...(next === null || next <= now ? [] : ([['not before', `in ${ageText(next - now)}`]] as const)),
  ])
  const rows = table(pdus, [
    { title: 'POSITION', value: ({ position }) => position, right: true },
    { title: 'EVENT', value: ({ event_id }) => event_id, shrinkTo: 20 },
    { title: 'ROOM', value: ({ room_id }) => room_id, shrinkTo: 20 },
    { title: 'AS', value: ({ as }) => AS[as] },
  ])
  return `${head}\n\n${rows}`
}
