/**
 * `limpet wake|pause|resume|reset|skip NAME`, of one destination or of all whose names a glob matches.
 *
 * Always: by a glob nothing is done without `--yes`. What would be done is listed, and the command fails: a script that forgot it must not go on as
 * if it were done.
 */
import { UsageError } from '../cli-error.ts'
import type { Action } from './actions.ts'
import type { ActionAnswer, ManyAnswer, SkipAnswer } from './answers.ts'
import type { AdminClient } from './client.ts'
import { wrap } from './table.ts'

/** What a command asked for, and what it prints. */
export interface Acted {
  answer: unknown
  shown: string
  /** By a glob, without `--yes`. */
  isOnlyListed: boolean
}

/** What `--yes` means, in the help. */
export const YES =
  'where <name> is a glob: do it (without this, what would be done is listed, nothing is done, and the exit status is 1)'

export const isGlob = (name: string) => /[*?]/.test(name)

/** Of one destination, in the admin API. */
export function pathOf(name: string): string {
  if (isGlob(name)) {
    throw new UsageError(`${name} is a glob: name one destination`)
  }
  return `/v1/destinations/${encodeURIComponent(name)}`
}

export async function act(
  client: AdminClient,
  action: Action,
  { name, yes }: { name: string; yes: boolean },
): Promise<Acted> {
  if (isGlob(name)) {
    const answer = await client.post('/v1/actions', { action: action.name, glob: name, dry_run: !yes })
    return {
      answer,
      shown: showMany(action, name, { answer: answer as ManyAnswer, yes }),
      isOnlyListed: !yes,
    }
  }
  const answer = await client.post(`/v1/destinations/${encodeURIComponent(name)}/${action.name}`)
  const what = action.name === 'skip' ? `: ${givenUp(answer as SkipAnswer)}` : ''
  return { answer, shown: showOne(action, name, answer as ActionAnswer) + what, isOnlyListed: false }
}

function showOne({ done, noted }: Action, name: string, { blocked }: ActionAnswer): string {
  if (blocked === undefined) return `${name} ${done}`
  return wrap(`${name} ${noted}, but nothing is sent to it, because ${blocked}`, 2)
}

function givenUp({ pending_pdus, pending_sticky, pending_edus = 0, pending_capped }: SkipAnswer): string {
  const more = pending_capped === true ? ' or more' : ''
  const sticky = `${pending_sticky} sticky event${pending_sticky === 1 ? '' : 's'}`
  const edus = pending_edus === 0 ? '' : ` and ${pending_edus} EDU${pending_edus === 1 ? '' : 's'}`
  return `${pending_pdus} PDU${pending_pdus === 1 ? '' : 's'} and ${sticky}${edus}${more}`
}

/** What a skip would give up; nothing is done. */
export async function previewSkip(client: AdminClient, name: string): Promise<Acted> {
  const answer = await client.post(`/v1/destinations/${encodeURIComponent(name)}/skip`, { dry_run: true })
  return { answer, shown: `a skip would give up ${givenUp(answer as SkipAnswer)}`, isOnlyListed: false }
}

const REASONS = { blocked: 'blocked', paused: 'paused', held: 'asked for no requests (Retry-After)' } as const

function showMany(
  { name: action, many }: Action,
  glob: string,
  { answer, yes }: { answer: ManyAnswer; yes: boolean },
): string {
  const { matched, names, blocked, left_out } = answer
  const left = Object.entries(REASONS).flatMap(([reason, text]) => {
    const n = left_out[reason as keyof typeof REASONS]
    return n === 0 ? [] : [`${n} ${text}`]
  })
  const out = Object.values(left_out).reduce((sum, n) => sum + n, 0)
  const more = matched - names.length
  return [
    ...(yes
      ? []
      : [
          `${glob} matches ${matched === 1 ? '1 destination' : `${matched} destinations`}:`,
          ...names.map((name) => `  ${name}`),
        ]),
    ...(yes || more <= 0 ? [] : [`  … and ${more} more`]),
    ...(yes
      ? [wrap(`done to ${matched - out} of the ${matched} that ${glob} matches: they ${many}`, 2)]
      : []),
    ...(left.length === 0 ? [] : [wrap(`left out by a ${action}: ${left.join(', ')}`, 2)]),
    ...(blocked === 0 || out > 0
      ? []
      : [`nothing is sent to ${blocked} of them all the same: they are blocked`]),
  ].join('\n')
}
