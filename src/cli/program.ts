/**
 * The command line: which commands there are, what each one is given, and how a failure is reported.
 *
 * Only the command that runs is loaded: loading the whole daemon takes a second of processor time, which `limpet
 * status` does not need.
 */
import { Command, CommanderError } from 'commander'
import { loadConfig } from '../config/config.ts'
import { configFileOf } from '../config/env.ts'
import type { Config } from '../config/config.ts'
import type { Log } from '../observe/log.ts'
import { makeSecrets } from '../observe/secrets.ts'
import { version } from '../daemon/version.ts'
import { registerAdminCommands } from './admin/commands.ts'
import { CONFIG } from './admin/printing.ts'
import { exitStatusOf, lineOf, joinLines } from './cli-error.ts'
import { guarded } from './io.ts'
import type { Io } from './io.ts'
import { registerDbCommands } from './db/commands.ts'
import { registerHelpCommands, withHelpAsOption } from './help.ts'
import { registerReceive } from './receive/command.ts'
import { parseListen, parseRoles } from './run-options.ts'
import { screenOf } from './screen.ts'
import { registerSimulate } from './simulate/command.ts'

/** Longer lines are hard to read. */
const HELP_WIDTH = 120

/** Runs one command line (without the program's own name) and returns the exit status. */
export async function runCli(args: readonly string[], given: Io): Promise<number> {
  const io = guarded(given, given.secrets ?? makeSecrets())
  try {
    const program = makeProgram(io)
    await program.parseAsync(withHelpAsOption(args, program), { from: 'user' })
    return 0
  } catch (error) {
    // Help and version end like this too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const usage = error instanceof CommanderError
    io.stderr.write(`limpet: ${usage ? usageLine(error) : lineOf(error)}\n`)
    return usage ? 2 : exitStatusOf(error)
  }
}

export function makeProgram(io: Io): Command {
  const program = new Command('limpet')
    .description('Federation catch-up and delivery daemon for Matrix homeservers')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      getOutHelpWidth: () => Math.min(HELP_WIDTH, screenOf(io.stdout, io.env).width),
      // The caller that catches the error writes the one line.
      writeErr: () => undefined,
    })

  program
    .command('run')
    .description('run the daemon')
    .option('--role <roles>', 'some of ingest, deliver, housekeep, comma-separated (default: all)')
    .option(
      '--listen <address>',
      'listen here instead of where the configuration says: HOST:PORT, the path of a socket, or none',
    )
    .action(async (options: { role?: string; listen?: string }, command: Command) => {
      const roles = parseRoles(options.role)
      const listen = options.listen === undefined ? undefined : parseListen(options.listen)
      const config = configFor(command, io)
      const { file } = config
      // The file that it was, also where none was named: without it, only the environment would be left.
      const reread = () => (file === null ? configFor(command, io) : loadConfig({ ...io, file }))
      const [{ run }, { makeLog }, { makeLogOutput }] = await Promise.all([
        import('./run.ts'),
        import('../observe/log.ts'),
        import('../observe/log-output.ts'),
      ])
      const output = makeLogOutput(process.stdout)
      const log = makeLog({ ...config.log, secrets: io.secrets, stream: output })
      await run({ config, reread, roles, listen, log, linesLost: () => output.lost(), env: io.env })
    })

  program
    .command('init')
    .description('write limpet.yaml, a signing key and tokens for a new install')
    .argument('[dir]', 'where', '.')
    .requiredOption('--server-name <name>', "the homeserver's name, as in user ids")
    .option('--signing-key <file>', "the homeserver's key file (default: a new key is made)")
    .action(async (dir: string, { serverName, signingKey }: { serverName: string; signingKey?: string }) => {
      const { runInit } = await import('./init.ts')
      runInit({ dir, serverName, signingKey, io })
    })

  program
    .command('check-config')
    .description('check configuration, key file, database and queue, and show the effective values')
    .option('--online', 'also that the homeserver is reachable from here and publishes our key')
    .action(async ({ online = false }: { online?: boolean }, command: Command) => {
      const config = configFor(command, io)
      const { runCheckConfig } = await import('./check-config.ts')
      await runCheckConfig({ config, log: await quiet(), io, online })
    })

  program
    .command('migrate')
    .description("migrate the database (limpet's tables and the queue's) to this version")
    .action(async (_options: object, command: Command) => {
      const config = configFor(command, io)
      const { runMigrate } = await import('./migrate.ts')
      await runMigrate({ config, log: await quiet(), io })
    })

  registerAdminCommands(program, io)
  registerReceive(program, { io, configFor: (command) => configFor(command, io) })
  registerSimulate(program, io)
  registerDbCommands(program, { io, configFor: (command) => configFor(command, io), quiet })
  registerHelpCommands(program, io)
  for (const command of allBelow(program)) prepare(command)
  return program
}

// What these commands have to say is their output.
async function quiet(): Promise<Log> {
  const { makeLog } = await import('../observe/log.ts')
  return makeLog({ level: 'silent', pretty: false })
}

function configFor(command: Command, { env, cwd, secrets }: Io): Config {
  return loadConfig({
    ...{
      file: command.optsWithGlobals<{ config?: string }>().config ?? configFileOf(env),
      env,
      cwd,
      secrets,
    },
  })
}

function allBelow(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allBelow)]
}

/** What holds for every command, wherever it was registered. */
function prepare(command: Command): void {
  command.helpOption('-h, --help', 'show this help')
  command.version(version, '-V, --version', 'show the version')
  if (command.options.some(({ long }) => long === '--config')) return
  command.option('--config <file>', CONFIG)
}

function usageLine(error: CommanderError): string {
  // Nothing was typed at all.
  if (error.code === 'commander.help') return 'no command given; limpet --help lists them'
  return joinLines(error.message.replace(/^error: /, ''))
}
