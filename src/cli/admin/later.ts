/** Commands of later releases: they say so instead of being unknown. */
import type { Command } from 'commander'
import { UsageError } from '../cli-error.ts'

const LATER = ['db']

export function registerLaterCommands(program: Command): void {
  for (const name of LATER) {
    program
      .command(name, { hidden: true })
      .allowUnknownOption()
      .allowExcessArguments()
      .action(() => {
        throw new UsageError(`limpet ${name} comes in a later release`)
      })
  }
}
