/** `limpet status`: totals on one screen. */
import type { StatusAnswer } from './answers.ts'
import { ageText, counted, momentFrom, numberText } from './ages.ts'
import type { Screen } from '../screen.ts'
import { facts, type Fact } from './wrap.ts'

/** Most urgent first; what a later release adds is worth a look. */
export const URGENCY = [
  'backing_off',
  'refused',
  'catching_up',
  'sending',
  'paused',
  'dead',
  'blocked',
  'idle',
]

export function showStatus(status: StatusAnswer, now: number, screen: Screen): string {
  const states = Object.entries(status.destinations)
    .filter(([, count]) => count > 0)
    .sort(([a], [b]) => URGENCY.indexOf(a) - URGENCY.indexOf(b))
  const all = states.reduce((sum, [, count]) => sum + count, 0)
  const byState = states.map(([state, count]) => `${numberText(count)} ${state}`).join(', ')
  const oldest = ageText(status.oldest_pending_ms)
  const { taken_per_second: taken } = status
  return facts(
    [
      ['server', `${status.server_name} (limpet ${status.version})`],
      ['position', status.position],
      ['destinations', all === 0 ? 'none yet' : `${numberText(all)}: ${byState}`],
      [
        'PDUs pending',
        `${numberText(status.pending_pdus)}${oldest === null ? '' : `, the oldest ${oldest}`}`,
      ],
      ...trendOf(status),
      ['sticky pending', status.sticky_pending],
      ...(taken == null ? [] : [['taken', `${counted(taken, 'item')} a second`] satisfies Fact]),
      ['sent', `${counted(status.sent_per_second, 'PDU')} a second`],
      ['counted', status.as_of === null ? 'not yet' : momentFrom(status.as_of, now)],
      ...(status.own_trouble ?? []).map(({ process, kind, since }): Fact => [
        'own trouble',
        `${process}, for ${ageText(now - since) ?? '0 s'}: ${TROUBLES[kind] ?? kind}`,
      ]),
      ...(status.sources ?? []).map((source): Fact => [`source ${source.name}`, sourceLine(source, now)]),
    ],
    screen,
    [status.server_name],
  )
}

/** How what is pending changes. Nothing where it has not been counted twice, or a daemon is older than this. */
function trendOf({
  pending_pdus: pending,
  pending_change_per_second: change,
  empty_in_ms: left,
}: StatusAnswer): Fact[] {
  if (change == null) return []
  const pace = `${counted(Math.abs(change), 'PDU')} a second`
  if (change > 0) return [['trend', `grows by ${pace}`]]
  if (change === 0) return pending === 0 ? [] : [['trend', 'stays as it is']]
  const empty =
    left == null || pending === 0 ? '' : `; empty in about ${ageText(Math.max(left, 1_000)) ?? ''}`
  return [['trend', `shrinks by ${pace}${empty}`]]
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
