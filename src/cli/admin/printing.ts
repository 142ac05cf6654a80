/** What every command that speaks to a daemon has: where that is, `--json`, `--watch`, and how an answer is printed. */
import type { Command } from 'commander'
import { UsageError } from '../cli-error.ts'
import { jsonText, type Io } from '../io.ts'
import { withProgress } from '../progress.ts'
import { screenOf, writeTinted, type Screen } from '../screen.ts'
import { openAdminClient, type AdminClient, type ClientOptions } from './client.ts'
import { parseEvery, watch } from './watch.ts'

export type CommandOptions = ClientOptions & Readonly<Record<string, string | boolean | undefined>>

export interface View<Answer> {
  readonly ask: (client: AdminClient) => Promise<Answer>
  readonly show: (answer: Answer, screen: Screen) => string
  /** What is asked for `--json`, where that is something else. */
  readonly json?: ((client: AdminClient) => Promise<unknown>) | undefined
}

export interface Printing {
  /** A command that speaks to a daemon; with `--json`. */
  readonly add: (name: string, description: string) => Command
  /** The same with `--watch`. */
  readonly addWatched: (name: string, description: string) => Command
  /** Prints what `view` asks and shows, once or again and again. */
  readonly print: <Answer>(command: Command, view: View<Answer>) => Promise<void>
  readonly clientFor: (command: Command) => AdminClient
  readonly screen: () => Screen
  /** This machine's clock, for ages. */
  readonly now: () => number
}

export interface PrintingNeeds {
  readonly now: () => number
  /** Until the next asking; false: it is over. */
  readonly wait: (ms: number) => Promise<boolean>
}

export function makePrinting(program: Command, io: Io, { now, wait }: PrintingNeeds): Printing {
  const screen = () => screenOf(io.stdout, io.env)
  const clientFor = (command: Command) => openAdminClient(optionsOf(command), io)
  const add: Printing['add'] = (name, description) =>
    program
      .command(name)
      .description(description)
      .option(
        '--url <url>',
        'the admin API (LIMPET_URL; default: the first admin listener of the configuration)',
      )
      .option('--token <token>', 'admin token (LIMPET_TOKEN; default: the one configured or generated)')
      .option('--config <file>', CONFIG)
      .option('--json', "print the API's answer")
  return {
    add,
    addWatched: (name, description) =>
      add(name, description)
        .option('--watch', 'ask again and again, until Ctrl-C')
        .option('--every <seconds>', 'watch, and ask this often (2)'),
    clientFor,
    screen,
    now,
    async print(command, { ask, show, json = ask }) {
      const { json: isJson, watch: isWatched, every } = optionsOf(command)
      const isRepeated = isWatched === true || every !== undefined
      if (isRepeated && isJson === true) throw new UsageError('--watch or --json, not both')
      const everyMs = parseEvery(typeof every === 'string' ? every : undefined)
      const client = clientFor(command)
      if (isJson === true) {
        io.stdout.write(`${jsonText(await withProgress(io.stderr, 'asking limpet', json(client)))}\n`)
        return
      }
      const view = async () => show(await ask(client), screen())
      if (!isRepeated) {
        writeTinted(io.stdout, `${await withProgress(io.stderr, 'asking limpet', view())}\n`)
        return
      }
      const title = ['limpet', command.name(), ...command.args].join(' ')
      await watch({ view, everyMs, output: io.stdout, screen, title, now, wait })
    },
  }
}

/** What `--config` is, in the help. */
export const CONFIG =
  'configuration file (LIMPET_CONFIG; default: limpet.yaml in the working directory, if there is one)'

/** A command's own and the program's: `--config` belongs to both, and wherever it stands the program takes it. */
export const optionsOf = (command: Command) => command.optsWithGlobals<CommandOptions>()
