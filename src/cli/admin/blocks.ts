/**
 * `limpet block|unblock GLOB`. A glob with `*` or `?` lists whom it concerns now, and is only obeyed with `--yes`; a plain name, which need not be
 * one that limpet has seen, at once.
 */
import type { Command } from 'commander'
import { UsageError } from '../cli-error.ts'
import type { ConcernedAnswer } from './answers.ts'
import type { AdminClient } from './client.ts'
import { wrap } from './table.ts'

type Add = (name: string, description: string) => Command
type Print = (
  command: Command,
  ask: (client: AdminClient) => Promise<unknown>,
  show: (answer: unknown) => string,
) => Promise<void>

interface BlockOptions {
  reason?: string
  drop?: boolean
  yes?: boolean
}

const PATH = '/v1/blocks'
const YES = 'do it, although it concerns more than one name'

export function registerBlockCommands(add: Add, print: Print): void {
  add('block <glob>', 'send nothing to the servers of this name or glob any more; what is owed is kept')
    .option('--reason <text>', 'why, for those who look at it')
    .option('--drop', 'give up what is owed to them')
    .option('--yes', YES)
    .action((glob: string, { reason, drop, yes }: BlockOptions, command: Command) => {
      if (drop === true)
        throw new UsageError('--drop comes in a later release: without it what is owed is kept')
      return mustAsk(glob, yes)
        ? print(
            command,
            (client) => client.post(PATH, { glob, dry_run: true }),
            (answer) => showConcerned(answer as ConcernedAnswer, glob, 'block'),
          )
        : print(
            command,
            (client) => client.post(PATH, { glob, ...(reason === undefined ? {} : { reason }) }),
            () => `${glob} is blocked: nothing is sent to it any more; what is owed is kept`,
          )
    })

  add('unblock <glob>', 'end a block; what is owed goes out')
    .option('--yes', YES)
    .action((glob: string, { yes }: BlockOptions, command: Command) =>
      mustAsk(glob, yes)
        ? print(
            command,
            (client) => client.delete(PATH, { glob, dry_run: 'true' }),
            (answer) => showConcerned(answer as ConcernedAnswer, glob, 'unblock'),
          )
        : print(
            command,
            (client) => client.delete(PATH, { glob }),
            () => `${glob} is blocked no more; what is owed goes out`,
          ),
    )
}

const mustAsk = (glob: string, yes: boolean | undefined): boolean => /[*?]/.test(glob) && yes !== true

function showConcerned({ matched, names }: ConcernedAnswer, glob: string, verb: 'block' | 'unblock'): string {
  const more = matched - names.length
  return [
    `${glob} is the name of ${matched === 1 ? '1 destination' : `${matched} destinations`}${matched === 0 ? ' that limpet knows' : ':'}`,
    ...names.map((name) => `  ${name}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    wrap(`nothing was done: --yes ${verb}s them, and those that come later`, 2),
  ].join('\n')
}
