/** `limpet help`, `limpet version` and `limpet completion`; and `help` and `version` behind any other command. */
import type { Command } from 'commander'
import { version } from '../daemon/version.ts'
import { closest } from './admin/similar.ts'
import { UsageError } from './cli-error.ts'
import { completionFor } from './completion.ts'
import type { Io } from './io.ts'

const AS_OPTION = new Map([
  ['help', '--help'],
  ['version', '--version'],
])

/** `limpet status help` as `limpet status --help`, where that is all. */
export function withHelpAsOption(args: readonly string[], program: Command): readonly string[] {
  const [name = '', word = '', ...others] = args
  const option = others.length === 0 && name !== 'help' ? AS_OPTION.get(word) : undefined
  return option === undefined || find(program, name) === undefined ? args : [name, option]
}

export function registerHelpCommands(program: Command, io: Io): void {
  program
    .command('completion')
    .description('print what makes a shell complete: bash, zsh or fish')
    .argument('<shell>')
    .action((shell: string) => {
      io.stdout.write(completionFor(shell, program))
    })

  program
    .command('help')
    .description('show this help, or that of a command')
    .argument('[command]')
    .action((name: string | undefined) => {
      const asked = name === undefined ? program : find(program, name)
      if (asked !== undefined) {
        asked.outputHelp()
        return
      }
      const [similar] = closest(
        name ?? '',
        program.commands.map((one) => one.name()),
      )
      const hint = similar === undefined ? '' : ` (Did you mean ${similar}?)`
      throw new UsageError(`unknown command '${name ?? ''}'${hint}`)
    })

  program
    .command('version')
    .description('show the version')
    .action(() => {
      io.stdout.write(`${version}\n`)
    })
}

const find = (program: Command, name: string) => program.commands.find((one) => one.name() === name)
