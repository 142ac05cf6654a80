/** The commands below `limpet db`: copies of the database. Each is loaded when it runs. */
import type { Command } from 'commander'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../observe/log.ts'
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
}
