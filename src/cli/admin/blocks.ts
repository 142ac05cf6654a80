/**
 * `limpet block|unblock GLOB`. A glob with `*` or `?` lists whom it concerns now, and is only obeyed with `--yes`; a plain name, which need not be
 * one that limpet has seen, at once.
 */
import type { Command } from 'commander'
import { CommandError } from '../cli-error.ts'
import type { ConcernedAnswer } from './answers.ts'
import { counted, numberText } from './ages.ts'
import { plain } from './letters.ts'
import type { AdminClient } from './client.ts'
import type { Printing } from './printing.ts'
import { SHAPES } from './shape.ts'

interface BlockOptions {
  reason?: string
  drop?: boolean
  yes?: boolean
}

const PATH = '/v1/blocks'
const YES =
  'where <glob> has * or ?: do it (without this, whom it concerns is listed, nothing is done, and the exit status is 1)'

export function registerBlockCommands({ add, print }: Printing): void {
  add('block <glob>', 'send nothing to the servers of this name or glob any more')
    .option('--reason <text>', 'why, for those who look at it')
    .option('--drop', 'give up what is owed to them now')
    .option('--yes', YES)
    .action((glob: string, { reason, drop, yes }: BlockOptions, command: Command) =>
      mustAsk(glob, yes)
        ? list(command, 'block', glob, (client) =>
            client.post(PATH, SHAPES.concerned, { glob, dry_run: true }),
          )
        : print(command, {
            ask: (client) =>
              client.post(PATH, SHAPES.done, {
                glob,
                ...(reason && { reason }),
                ...(drop === true && { drop }),
              }),
            show: () =>
              `${glob} is blocked: nothing is sent to it any more; ${drop === true ? 'what is owed now is given up, which may take half a minute' : 'what is owed is kept'}`,
          }),
    )

  add('unblock <glob>', 'end a block; what is owed goes out')
    .option('--yes', YES)
    .action((glob: string, { yes }: BlockOptions, command: Command) =>
      mustAsk(glob, yes)
        ? list(command, 'unblock', glob, (client) =>
            client.delete(PATH, SHAPES.concerned, { glob, dry_run: 'true' }),
          )
        : print(command, {
            ask: (client) => client.delete(PATH, SHAPES.done, { glob }),
            show: () => `${glob} is blocked no more; what is owed, and was not given up, goes out`,
          }),
    )

  /** Nothing is done: a script that forgot `--yes` must not go on as if it were. */
  async function list(
    command: Command,
    verb: string,
    glob: string,
    ask: (client: AdminClient) => Promise<unknown>,
  ) {
    await print(command, { ask, show: (answer) => showConcerned(answer as ConcernedAnswer, glob) })
    throw new CommandError(
      `nothing was done: limpet ${verb} '${glob}' --yes does it, also to those that come later`,
    )
  }
}

const mustAsk = (glob: string, yes: boolean | undefined): boolean => /[*?]/.test(glob) && yes !== true

function showConcerned({ matched, names }: ConcernedAnswer, glob: string): string {
  const more = matched - names.length
  return [
    `${glob} is the name of ${counted(matched, 'destination')}${matched === 0 ? ' that limpet knows' : ':'}`,
    ...names.map((name) => `  ${plain(name)}`),
    ...(more > 0 ? [`  and ${numberText(more)} more`] : []),
  ].join('\n')
}
