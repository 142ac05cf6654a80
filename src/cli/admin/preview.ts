/** `limpet preview NAME`: the next transaction, as it would be sent now. */
import type { PreviewAnswer } from './answers.ts'
import { quarantineTable } from './quarantine.ts'
import { ageText, counted, numberText } from './ages.ts'
import type { Screen } from '../screen.ts'
import { table } from './table.ts'
import { facts, wrap, type Fact } from './wrap.ts'

const AS = { timeline: 'timeline', catch_up: 'catch-up', sticky_replay: 'sticky replay' }

const FIRST = {
  catch_up:
    'a catch-up of NAME begins first: every unexpired sticky event that it missed, then the newest event of each room',
  room_goes_on: 'a room of NAME that waited goes on first: what goes of it is known then',
  event_goes_last:
    'an event for NAME that goes alone, after everything else, is put behind the rest first: what goes before it is known then',
}

export function showPreview(answer: PreviewAnswer, now: number, screen: Screen): string {
  const { total, next } = answer.set_aside
  const sentence = (text: string) => wrap(text, 2, screen.width, [answer.destination])
  const parts = [
    transactionOf(answer, now, screen),
    ...[searchOf(answer, now), eduSearchOf(answer, now)].map((text) => text && sentence(text)),
  ]
  if (total > 0)
    parts.push(`set aside, as it refuses them: ${numberText(total)}`, quarantineTable(next, now, screen))
  return parts.filter((part) => part !== null).join('\n\n')
}

function searchOf({ destination, search }: PreviewAnswer, now: number): string | null {
  if (search === null) return null
  const { pdus, parts, not_before: at } = search
  const when = at === null || at <= now ? '' : `; no part goes before ${ageText(at - now)} from now`
  return `PDUs for ${destination} that are searched, or go apart from the rest: ${numberText(pdus)}, in ${counted(parts, 'part, which goes', 'parts, which go one after the other')}${when}`
}

function eduSearchOf({ destination, edu_search: search }: PreviewAnswer, now: number): string | null {
  if (search == null) return null
  const { most, not_before: at } = search
  const when = at === null || at <= now ? '' : `; none goes before ${ageText(at - now)} from now`
  return `EDUs for ${destination} are searched: at most ${counted(most, 'goes', 'go')} at once, without PDUs${when}`
}

const WHAT = {
  ordinary: 'what it is owed, in order',
  question: 'empty: it asks whose fault it is that the transaction before it was refused',
  half: 'the first part of what is searched',
  set_aside: 'what was set aside, and is due',
}

function transactionOf(answer: PreviewAnswer, now: number, screen: Screen): string {
  const { destination, reason, pdus, edus = [], first, what } = answer
  const sentence = (text: string) => wrap(text, 2, screen.width, [destination])
  if (first !== null) return sentence(FIRST[first].replace('NAME', () => destination))
  if (answer.body === null) return sentence(`nothing would be sent to ${destination}: ${reason}`)
  const { next_attempt: next } = answer
  const { txn_id: id } = answer
  const notBefore: Fact[] =
    next === null || next <= now ? [] : [['not before', `in ${ageText(next - now) ?? ''}`]]
  const head = facts(
    [
      ['destination', { id: destination }],
      ['transaction', id === null ? 'not made yet: it gets its id when it is sent' : { id }],
      ...(id === null ? [] : [['requests so far', answer.attempts] satisfies Fact]),
      ['holds', what === null ? null : WHAT[what]],
      ['size', counted(answer.bytes, 'byte')],
      ['now', reason],
      ...notBefore,
    ],
    screen,
  )
  const ofPdus = table(
    pdus,
    [
      { title: 'POSITION', value: ({ position }) => position, right: true },
      { title: 'EVENT', value: ({ event_id }) => event_id, id: 'event' },
      { title: 'ROOM', value: ({ room_id }) => room_id, id: 'room' },
      { title: 'SENT AS', value: ({ as }) => AS[as] },
    ],
    screen,
  )
  const ofEdus = table(
    edus,
    [
      { title: 'POSITION', value: ({ position }) => position, right: true },
      { title: 'EDU', value: ({ edu_type }) => edu_type, id: 'type' },
    ],
    screen,
  )
  return [head, ...(pdus.length === 0 ? [] : [ofPdus]), ...(edus.length === 0 ? [] : [ofEdus])].join('\n\n')
}
