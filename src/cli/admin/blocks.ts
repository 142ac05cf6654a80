/**
 * `limpet block|unblock GLOB`. A glob with `*` or `?` lists whom it concerns now, and is only obeyed with `--yes`; a plain name, which need not be
 * one that limpet has seen, at once.
 */
import type { Command } from 'commander'
import { CommandError } from '../cli-error.ts'
import type { ConcernedAnswer } from './answers.ts'
import type { AdminClient } from './client.ts'

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
const YES =
  'where <glob> has * or ?: do it (without this, whom it concerns is listed, nothing is done, and the exit status is 1)'

export function registerBlockCommands(add: Add, print: Print): void {
  add('block <glob>', 'send nothing to the servers of this name or glob any more')
    .option('--reason <text>', 'why, for those who look at it')
    .option('--drop', 'give up what is owed to them now')
    .option('--yes', YES)
    .action((glob: string, { reason, drop, yes }: BlockOptions, command: Command) =>
      mustAsk(glob, yes)
        ? list(command, 'block', glob, (client) => client.post(PATH, { glob, dry_run: true }))
        : print(
            command,
            (client) =>
              client.post(PATH, { glob, ...(reason && { reason }), ...(drop === true && { drop }) }),
            () =>
              `${glob} is blocked: nothing is sent to it any more; what is owed is ${drop === true ? 'given up' : 'kept'}`,
          ),
    )

  add('unblock <glob>', 'end a block; what is owed goes out')
    .option('--yes', YES)
    .action((glob: string, { yes }: BlockOptions, command: Command) =>
      mustAsk(glob, yes)
        ? list(command, 'unblock', glob, (client) => client.delete(PATH, { glob, dry_run: 'true' }))
        : print(
            command,
            (client) => client.delete(PATH, { glob }),
            () => `${glob} is blocked no more; what is owed goes out`,
          ),
    )

  /** Nothing is done: a script that forgot `--yes` must not go on as if it were. */
  async function list(
    command: Command,
    verb: string,
    glob: string,
    ask: (client: AdminClient) => Promise<unknown>,
  ) {
    await print(command, ask, (answer) => showConcerned(answer as ConcernedAnswer, glob))
    throw new CommandError(
      `nothing was done: limpet ${verb} '${glob}' --yes does it, also to those that come later`,
    )
  }
}

const mustAsk = (glob: string, yes: boolean | undefined): boolean => /[*?]/.test(glob) && yes !== true

function showConcerned({ matched, names }: ConcernedAnswer, glob: string): string {
  const more = matched - names.length
  return [
    `${glob} is the name of ${matched === 1 ? '1 destination' : `${matched} destinations`}${matched === 0 ? ' that limpet knows' : ':'}`,
    ...names.map((name) => `  ${name}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join('\n')
}
