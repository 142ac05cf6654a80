/**
 * `limpet wake|pause|resume|reset|skip NAME`, of one destination or of all whose names a glob matches.
 *
 * Always: by a glob nothing is done without `--yes`. What would be done is listed, and the command fails: a script that forgot it must not go on as
 * if it were done.
 */
import type { Command } from 'commander'
import { CommandError, UsageError } from '../cli-error.ts'
import { jsonText, type Io } from '../io.ts'
import { withProgress } from '../progress.ts'
import { ACTIONS, type Action } from './actions.ts'
import type { ActionAnswer, DestinationAnswer, ManyAnswer, SkipAnswer } from './answers.ts'
import type { AdminClient } from './client.ts'
import { counted, numberText } from './ages.ts'
import type { CommandOptions, Printing } from './printing.ts'
import type { Screen } from '../screen.ts'
import { SHAPES } from './shape.ts'
import { suggesting } from './similar.ts'
import { wrap } from './wrap.ts'

/** What a command asked for, and what it prints. */
interface Acted {
  answer: unknown
  shown: string
  /** By a glob, without `--yes`. */
  isOnlyListed: boolean
}

/** In the help. */
const YES =
  'where <name> is a glob: do it (without this, what would be done is listed, nothing is done, and the exit status is 1)'

const isGlob = (name: string) => /[*?]/.test(name)

/** Of one destination, in the admin API. */
export function pathOf(name: string): string {
  if (isGlob(name)) {
    throw new UsageError(`${name} is a glob: name one destination`)
  }
  return `/v1/destinations/${encodeURIComponent(name)}`
}

export function registerActionCommands({ add, clientFor, screen }: Printing, io: Io): void {
  for (const action of ACTIONS) {
    const description = `${action.description} (<name> may be a glob: '*.example.org')`
    const command = add(`${action.name} <name>`, description).option('--yes', YES)
    if (action.name === 'skip') command.option('--dry-run', 'only count what would be given up')
    command.action(async (name: string, { yes, json, dryRun }: CommandOptions, command: Command) => {
      const client = clientFor(command)
      const isDry = dryRun === true
      const asked = suggesting(client, name, () =>
        isDry && !isGlob(name)
          ? previewSkip(client, name)
          : act(client, action, { name, yes: yes === true && !isDry, screen: screen() }),
      )
      const { answer, shown, isOnlyListed } = await withProgress(io.stderr, 'asking limpet', asked)
      io.stdout.write(`${json === true ? jsonText(answer) : shown}\n`)
      if (isOnlyListed)
        throw new CommandError(`nothing was done: limpet ${action.name} '${name}' --yes does it`)
    })
  }
}

async function act(
  client: AdminClient,
  action: Action,
  { name, yes, screen }: { name: string; yes: boolean; screen: Screen },
): Promise<Acted> {
  if (isGlob(name)) {
    const answer = await client.post('/v1/actions', SHAPES.many, {
      action: action.name,
      glob: name,
      dry_run: !yes,
    })
    return {
      answer,
      shown: showMany(action, name, { answer: answer as ManyAnswer, yes, screen }),
      isOnlyListed: !yes,
    }
  }
  const isIdle = action.idle !== '' && (await isOwedNothing(client, name))
  const answer = await client.post(
    `${pathOf(name)}/${action.name}`,
    action.name === 'skip' ? SHAPES.skip : SHAPES.done,
  )
  const what = action.name === 'skip' ? `: ${givenUp(answer as SkipAnswer)}` : ''
  const said = isIdle ? `${name} ${action.idle}` : oneText(action, name, answer as ActionAnswer) + what
  const shown = sentence(said, screen, name)
  return { answer, shown, isOnlyListed: false }
}

async function isOwedNothing(client: AdminClient, name: string): Promise<boolean> {
  const found = (await client.get(pathOf(name), SHAPES.destination)) as DestinationAnswer
  const {
    state,
    pending_pdus: pdus,
    pending_sticky: sticky,
    pending_edus: edus,
    open_transaction: open,
  } = found
  return state === 'idle' && pdus + sticky + (edus ?? 1) === 0 && open === null
}

/** In as many lines as it takes; the name stays in one piece. */
const sentence = (text: string, { width }: Screen, name: string) => wrap(text, 2, width, [name])

function oneText({ done, noted }: Action, name: string, { blocked }: ActionAnswer): string {
  if (blocked === undefined) return `${name} ${done}`
  return `${name} ${noted}, but nothing is sent to it, because ${blocked}`
}

function givenUp({ pending_pdus, pending_sticky, pending_edus = 0, pending_capped }: SkipAnswer): string {
  const more = pending_capped === true ? ' or more' : ''
  const pdus = counted(pending_pdus, 'PDU')
  const sticky = counted(pending_sticky, 'sticky event')
  return pending_edus === 0
    ? `${pdus} and ${sticky}${more}`
    : `${pdus}, ${sticky} and ${counted(pending_edus, 'EDU')}${more}`
}

/** What a skip would give up; nothing is done. */
async function previewSkip(client: AdminClient, name: string): Promise<Acted> {
  const answer = await client.post(`${pathOf(name)}/skip`, SHAPES.skip, { dry_run: true })
  return { answer, shown: `a skip would give up ${givenUp(answer as SkipAnswer)}`, isOnlyListed: false }
}

const REASONS = { blocked: 'blocked', paused: 'paused', held: 'asked for no requests (Retry-After)' } as const

function showMany(
  { name: action, many }: Action,
  glob: string,
  { answer, yes, screen }: { answer: ManyAnswer; yes: boolean; screen: Screen },
): string {
  const { matched, names, blocked, left_out } = answer
  const left = Object.entries(REASONS).flatMap(([reason, text]) => {
    const n = left_out[reason as keyof typeof REASONS]
    return n === 0 ? [] : [`${numberText(n)} ${text}`]
  })
  const out = Object.values(left_out).reduce((sum, n) => sum + n, 0)
  const more = matched - names.length
  return [
    ...(yes
      ? []
      : [`${glob} matches ${counted(matched, 'destination')}:`, ...names.map((name) => `  ${name}`)]),
    ...(yes || more <= 0 ? [] : [`  … and ${numberText(more)} more`]),
    ...(yes ? [sentence(doneText({ glob, many, done: matched - out, matched }), screen, glob)] : []),
    ...(left.length === 0 ? [] : [sentence(`left out by a ${action}: ${left.join(', ')}`, screen, glob)]),
    ...(blocked === 0 || out > 0
      ? []
      : [
          `nothing is sent to ${numberText(blocked)} of them all the same: ${blocked === 1 ? 'it is' : 'they are'} blocked`,
        ]),
  ].join('\n')
}

function doneText({
  glob,
  many,
  done,
  matched,
}: {
  glob: string
  many: string
  done: number
  matched: number
}): string {
  if (matched === 1)
    return done === 1
      ? `done to the only one that ${glob} matches`
      : `not done to the only one that ${glob} matches`
  return `done to ${numberText(done)} of the ${numberText(matched)} that ${glob} matches: they ${many}`
}
