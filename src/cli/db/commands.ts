/** The commands below `limpet db`: copies of the database. Each is loaded when it runs. */
import type { Command, CommanderError } from 'commander'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../observe/log.ts'
import { UsageError } from '../cli-error.ts'
import type { Io } from '../io.ts'

export interface DbCommandNeeds {
  io: Io
  configFor: (command: Command) => Config
  quiet: () => Promise<Log>
}

export function registerDbCommands(program: Command, { io, configFor, quiet }: DbCommandNeeds): void {
  const db = program.command('db').description('copies of the database: dump, load, copy').helpCommand(false)

  db.command('dump')
    .description('write everything in the database to a file, also while limpet runs')
    .argument('<file>', 'where; it holds messages, and its mode is 0600')
    .option('--force', 'replace the file if there is one')
    .action(async (file: string, { force = false }: { force?: boolean }, command: Command) => {
      const config = configFor(command)
      const { runDump } = await import('./run-dump.ts')
      await runDump({ config, log: await quiet(), io, file, force })
    })

  db.command('load')
    .description('fill the configured database, which must be empty, from a dump')
    .argument('<file>', 'what `limpet db dump` wrote')
    .action(async (file: string, _options: object, command: Command) => {
      const config = configFor(command)
      const { runLoad } = await import('./run-load.ts')
      await runLoad({ config, log: await quiet(), io, file })
    })

  db.command('copy')
    .description('copy the configured database, on which no limpet may run, into another, empty one')
    .requiredOption('--to <url>', 'where: a postgres:// URL, or embedded (the one under data_dir)')
    .action(async ({ to }: { to: string }, command: Command) => {
      const config = configFor(command)
      const { runCopy } = await import('./run-copy.ts')
      await runCopy({ config, log: await quiet(), io, to })
    })

  // Only now: what is registered takes over how its parent ends, and what is wrong with `dump` is not about `db`.
  db.exitOverride((error) => {
    throw refusalOf(error, db)
  })
}

/** What to say where no command below `parent` was named, or one that is not there. Any other end stays as it is. */
function refusalOf(error: CommanderError, parent: Command): Error {
  const name = parent.name()
  const below = parent.commands.map((one) => one.name())
  const listed = `limpet ${name} --help lists ${below.slice(0, -1).join(', ')} and ${below.at(-1) ?? ''}`
  if (error.code === 'commander.help') return new UsageError(`${name}: no command given; ${listed}`)
  if (error.code !== 'commander.unknownCommand') return error
  const message = error.message.replace(/^error: /, '')
  return new UsageError(`${name}: ${message}${message.includes('Did you mean') ? '' : `; ${listed}`}`)
}
