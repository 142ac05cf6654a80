/** `limpet source NAME`: how a source is doing, and what `--continue` would do after its database was restored. */
import type { SourceAnswer } from './answers.ts'
import { ageText } from './ages.ts'
import type { Screen } from '../screen.ts'
import { facts, wrap, type Fact } from './wrap.ts'

export function showSource(source: SourceAnswer, now: number, screen: Screen): string {
  const { name, state, since, position, behind, last_error: error, restored } = source
  return [
    facts(
      [
        ['source', name],
        ['state', `${state} for ${ageText(now - since) ?? '0 s'}`],
        ['position', position ?? 'not known yet'],
        ['behind', behind ?? 'not known yet'],
        ...(error === null
          ? []
          : [['last error', `${ageText(now - error.at) ?? ''} ago: ${error.message}`] satisfies Fact]),
      ],
      screen,
    ),
    ...(restored === null
      ? []
      : ['', wrap(restoredText(source, restored), 0, screen.width, [name]), ...whatToDo(source)]),
  ].join('\n')
}

function restoredText(
  { name, continuing }: SourceAnswer,
  { place, head, common }: NonNullable<SourceAnswer['restored']>,
): string {
  const goesOn =
    common === null
      ? [
          'It has none of the events that limpet remembers. limpet will go on at the end of its stream:',
          'events that are in it now and have not been sent yet will not be sent.',
        ]
      : [
          `As far as limpet remembers, it has the same events as before up to ${common}. limpet will go on there:`,
          'what was written to the restored database since then is sent, and what limpet has already sent is not sent again.',
        ]
  return [
    `The database of ${name} was restored to an older state: limpet had read up to ${place}, but the database ended at ${head}.`,
    ...goesOn,
    'What limpet read before the restore stays, and is delivered to the servers that are still in the rooms.',
    'limpet reads the servers of all rooms again from the restored database.',
    continuing
      ? 'An operator has told it to go on; it does so the next time limpet reads it.'
      : 'If older releases of limpet run beside this one, stop them. Then run:',
  ].join(' ')
}

/** On a line of its own, to be copied. */
const whatToDo = ({ name, continuing }: SourceAnswer) =>
  continuing ? [] : [`limpet source ${name} --continue`]
