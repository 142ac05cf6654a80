/** `limpet source NAME`: how a source is doing, and what `--continue` would do after its database was restored. */
import type { SourceAnswer } from './answers.ts'
import { age, facts } from './table.ts'

export function showSource(source: SourceAnswer, now: number): string {
  const { name, state, since, position, behind, last_error: error, restored } = source
  return [
    facts([
      ['source', name],
      ['state', `${state} for ${age(now - since) ?? '0 s'}`],
      ['position', position ?? 'not known yet'],
      ['behind', behind ?? 'not known yet'],
      ...(error === null
        ? []
        : [['last error', `${age(now - error.at) ?? ''} ago: ${error.message}`] as [string, string]]),
    ]),
    ...(restored === null ? [] : ['', ...restoredLines(source, restored)]),
  ].join('\n')
}

function restoredLines(
  { name, continuing }: SourceAnswer,
  { place, head, common }: NonNullable<SourceAnswer['restored']>,
): string[] {
  const goesOn =
    common === null
      ? [
          'It has no event that limpet remembers. limpet goes on at the end of its stream:',
          'what is in it now and was not sent before is not sent.',
        ]
      : [
          `As far as limpet remembers, it has the same events as before up to ${common}. limpet goes on there:`,
          'what was written to the restored database since is sent; what limpet has sent already is not sent again.',
        ]
  return [
    `The database of ${name} was restored to an older state: limpet had read up to ${place}, and it ended at ${head}.`,
    ...goesOn,
    'What limpet took from the state before the restore stays as it is, and is delivered to the servers that are still in the rooms.',
    'The servers of all rooms are told anew, as the restored database has them.',
    ...(continuing
      ? ['It was told to go on, and does so at its next look.']
      : [`Stop older releases of limpet beside this one, then: limpet source ${name} --continue`]),
  ]
}
