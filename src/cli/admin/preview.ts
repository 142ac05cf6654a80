/** `limpet preview NAME`: the next transaction, as it would be sent now. */
import type { PreviewAnswer } from './answers.ts'
import { quarantineTable } from './quarantine.ts'
import { ageText, facts, table, wrap } from './table.ts'

const AS = { timeline: 'timeline', catch_up: 'catch-up', sticky_replay: 'sticky replay' }

const FIRST = {
  catch_up:
    'a catch-up of NAME begins first: every unexpired sticky event that it missed, then the newest event of each room',
  room_goes_on: 'a room of NAME that waited goes on first: what goes of it is known then',
  event_goes_last:
    'an event for NAME that goes alone, after everything else, is put behind the rest first: what goes before it is known then',
}

export function showPreview(answer: PreviewAnswer, now: number): string {
  const { total, next } = answer.set_aside
  const parts = [transactionOf(answer, now), searchOf(answer, now), eduSearchOf(answer, now)]
  if (total > 0) parts.push(`set aside, as it refuses them: ${total}`, quarantineTable(next, now))
  return parts.filter((part) => part !== null).join('\n\n')
}

function searchOf({ destination, search }: PreviewAnswer, now: number): string | null {
  if (search === null) return null
  const { pdus, parts, not_before: at } = search
  const when = at === null || at <= now ? '' : `; no part goes before ${ageText(at - now)} from now`
  return wrap(
    `PDUs for ${destination} that are searched, or go apart from the rest: ${pdus}, in ${parts} ${parts === 1 ? 'part' : 'parts'}, which go one after the other${when}`,
    2,
  )
}

function eduSearchOf({ destination, edu_search: search }: PreviewAnswer, now: number): string | null {
  if (search == null) return null
  const { most, not_before: at } = search
  const when = at === null || at <= now ? '' : `; none goes before ${ageText(at - now)} from now`
  return wrap(
    `EDUs for ${destination} are searched: at most ${most} ${most === 1 ? 'goes' : 'go'} at once, without PDUs${when}`,
    2,
  )
}

const WHAT = {
  ordinary: 'what it is owed, in order',
  question: 'empty: it asks whose fault it is that the transaction before it was refused',
  half: 'the first part of what is searched',
  set_aside: 'what was set aside, and is due',
}

function transactionOf(answer: PreviewAnswer, now: number): string {
  const { destination, reason, pdus, edus = [], first, what } = answer
  if (first !== null) return wrap(FIRST[first].replace('NAME', destination), 2)
  if (answer.body === null) return wrap(`nothing would be sent to ${destination}: ${reason}`, 2)
  const { next_attempt: next } = answer
  const head = facts([
    ['destination', destination],
    ['transaction', answer.txn_id ?? 'not made yet: it gets its id when it is sent'],
    ...(answer.txn_id === null ? [] : ([['requests so far', answer.attempts]] as const)),
    ['holds', what === null ? null : WHAT[what]],
    ['size', `${answer.bytes} bytes`],
    ['now', reason],
    ...(next === null || next <= now ? [] : ([['not before', `in ${ageText(next - now)}`]] as const)),
  ])
  const ofPdus = table(pdus, [
    { title: 'POSITION', value: ({ position }) => position, right: true },
    { title: 'EVENT', value: ({ event_id }) => event_id, shrinkTo: 20 },
    { title: 'ROOM', value: ({ room_id }) => room_id, shrinkTo: 20 },
    { title: 'AS', value: ({ as }) => AS[as] },
  ])
  const ofEdus = table(edus, [
    { title: 'POSITION', value: ({ position }) => position, right: true },
    { title: 'EDU', value: ({ edu_type }) => edu_type, shrinkTo: 20 },
  ])
  return [head, ...(pdus.length === 0 ? [] : [ofPdus]), ...(edus.length === 0 ? [] : [ofEdus])].join('\n\n')
}
