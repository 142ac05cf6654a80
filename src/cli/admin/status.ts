/** `limpet status`: totals on one screen. */
import type { StatusAnswer } from './answers.ts'
import { ageText, facts, moment } from './table.ts'

export function showStatus(status: StatusAnswer, now: number): string {
  const states = Object.entries(status.destinations).filter(([, count]) => count > 0)
  const all = states.reduce((sum, [, count]) => sum + count, 0)
  const byState = states.map(([state, count]) => `${count.toLocaleString('en-US')} ${state}`).join(', ')
  const oldest = ageText(status.oldest_pending_ms)
  return facts([
    ['server', `${status.server_name} (limpet ${status.version})`],
    ['position', status.position],
    ['destinations', all === 0 ? 'none yet' : `${all.toLocaleString('en-US')}: ${byState}`],
    [
      'PDUs pending',
      `${status.pending_pdus.toLocaleString('en-US')}${oldest === null ? '' : `, the oldest ${oldest}`}`,
    ],
    ['sticky pending', status.sticky_pending],
    ['sent', `${status.sent_per_second.toLocaleString('en-US')} PDUs a second`],
    [
      'counted',
      status.as_of === null
        ? 'not yet'
        : `${moment(status.as_of) ?? ''} (${ageText(now - status.as_of) ?? ''} ago)`,
    ],
    ...(status.own_trouble ?? []).map(({ process, kind, since }): [string, string] => [
      'own trouble',
      `${process}, for ${ageText(now - since) ?? '0 s'}: ${TROUBLES[kind] ?? kind}`,
    ]),
    ...(status.sources ?? []).map((source): [string, string] => [
      `source ${source.name}`,
      sourceLine(source, now),
    ]),
  ])
}

const TROUBLES: Readonly<Record<string, string>> = {
  no_answer: 'it can reach no destination; no backoff grows',
  refused_401: 'every destination answers 401; no backoff grows',
}

type Source = NonNullable<StatusAnswer['sources']>[number]

function sourceLine({ state, since, position, behind, last_error: error }: Source, now: number): string {
  const where = position === null ? 'position not known yet' : `at ${position}, ${behind ?? '?'} behind`
  const wrong = error === null ? '' : `; last error ${ageText(now - error.at) ?? ''} ago: ${error.message}`
  return `${state} for ${ageText(now - since) ?? '0 s'}, ${where}${wrong}`
}
