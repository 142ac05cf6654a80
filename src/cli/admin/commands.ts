/**
 * The commands that look at or act on a running daemon. Each asks its admin API and prints what it answers,
 * as a table or (`--json`) as it is.
 */
import type { Command } from 'commander'
import { act, isGlob, pathOf, previewSkip, YES } from './act.ts'
import { ACTIONS } from './actions.ts'
import { registerBlockCommands } from './blocks.ts'
import type {
  DestinationAnswer,
  DestinationsAnswer,
  EventAnswer,
  PreviewAnswer,
  RoomsAnswer,
  SourceAnswer,
  StatusAnswer,
  StickyAnswer,
  TransactionsAnswer,
} from './answers.ts'
import { CommandError } from '../cli-error.ts'
import type { DiscoveryReport } from '../../discovery/report.ts'
import { showDiscovery } from './discover.ts'
import { openAdminClient, type AdminClient, type ClientOptions } from './client.ts'
import { showDestination, SHOWN } from './destination.ts'
import { showDestinations } from './destinations.ts'
import { showExplain } from './explain.ts'
import { jsonText, type Io } from '../io.ts'
import { withProgress } from '../progress.ts'
import { showPreview } from './preview.ts'
import { registerQuarantineCommand } from './quarantine.ts'
import { showSource } from './source.ts'
import { showStatus } from './status.ts'
import { showSticky } from './sticky.ts'

type Options = ClientOptions & Readonly<Record<string, string | boolean | undefined>>

/** Adds the commands to `program`. `now`: this machine's clock, for ages. */
export function registerAdminCommands(program: Command, io: Io, now: () => number = Date.now): void {
  const add = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .option('--url <url>', 'the admin API (default: the first admin listener of the configuration)')
      .option('--token <token>', 'admin token (default: the one configured or generated)')
      .option(
        '--config <file>',
        'configuration file (default: limpet.yaml in the working directory, if there is one)',
      )

  /** Asks what `ask` asks, and prints it as JSON or as `show` does. */
  const print = async (
    command: Command,
    ask: (client: AdminClient) => Promise<unknown>,
    show: (answer: unknown) => string,
  ) => {
    const options = optionsOf(command)
    const answer = await withProgress(io.stderr, 'asking limpet', ask(openAdminClient(options, io)))
    io.stdout.write(`${options['json'] === true ? jsonText(answer) : show(answer)}\n`)
  }

  withJson(add('status', 'show totals: position, destinations by state, backlog, throughput')).action(
    (_options: object, command: Command) =>
      print(
        command,
        (client) => client.get('/v1/status'),
        (answer) => showStatus(answer as StatusAnswer, now()),
      ),
  )

  withJson(add('destinations', 'list destinations'))
    .option('--state <state>', 'only those in this state')
    .option('--order-by <field>', 'destination, pending_pdus, oldest_pending_ms, failing_since, …')
    .option('--dir <f|b>', 'f: ascending; b: descending')
    .option('--search <text>', 'only names that contain this text')
    .option('--limit <n>', 'show at most this many (up to 1000)')
    .action((options: Options, command: Command) =>
      print(
        command,
        (client) =>
          client.get('/v1/destinations', {
            state: text(options['state']),
            order_by: text(options['orderBy']),
            dir: text(options['dir']),
            search: text(options['search']),
            limit: text(options['limit']),
          }),
        (answer) => showDestinations(answer as DestinationsAnswer, now()),
      ),
    )

  withJson(
    add(
      'destination <name>',
      'show one destination: what it is owed, and why nothing goes out or what goes next',
    ),
  ).action(async (name: string, options: Options, command: Command) => {
    const path = pathOf(name)
    if (options['json'] === true) {
      await print(command, (client) => client.get(path), String)
      return
    }
    const client = openAdminClient(optionsOf(command), io)
    const page = async () => ({
      destination: (await client.get(path)) as DestinationAnswer,
      rooms: (await client.get(`${path}/rooms`, {
        order_by: 'pending_pdus',
        dir: 'b',
        limit: String(SHOWN),
      })) as RoomsAnswer,
      sticky: (await client.get('/v1/sticky', { destination: name, limit: String(SHOWN) })) as StickyAnswer,
      transactions: (await client.get(`${path}/transactions`, {
        limit: String(SHOWN),
      })) as TransactionsAnswer,
    })
    io.stdout.write(`${showDestination(await withProgress(io.stderr, 'asking limpet', page()), now())}\n`)
  })

  withJson(
    add(
      'discover <name>',
      'show how a server name is resolved, step by step, and where a connection would go',
    ),
  )
    .option('--fresh', 'ask again, whatever is remembered')
    .action((name: string, options: Options, command: Command) =>
      print(
        command,
        (client) =>
          client.get(`${pathOf(name)}/discovery`, options['fresh'] === true ? { fresh: 'true' } : {}),
        (answer) => showDiscovery(answer as DiscoveryReport),
      ),
    )

  withJson(add('preview <name>', 'show the next transaction to a destination, without sending it')).action(
    (name: string, _options: object, command: Command) =>
      print(
        command,
        (client) => client.get(`${pathOf(name)}/preview`),
        (answer) => showPreview(answer as PreviewAnswer, now()),
      ),
  )

  for (const action of ACTIONS) {
    const command = withJson(
      add(`${action.name} <name>`, `${action.description} (<name> may be a glob: '*.example.org')`),
    ).option('--yes', YES)
    if (action.name === 'skip') command.option('--dry-run', 'only count what would be given up')
    command.action(async (name: string, { yes, json, dryRun }: Options, command: Command) => {
      const client = openAdminClient(optionsOf(command), io)
      const isDry = dryRun === true
      const asked =
        isDry && !isGlob(name)
          ? previewSkip(client, name)
          : act(client, action, { name, yes: yes === true && !isDry })
      const { answer, shown, isOnlyListed } = await withProgress(io.stderr, 'asking limpet', asked)
      io.stdout.write(`${json === true ? jsonText(answer) : shown}\n`)
      if (isOnlyListed)
        throw new CommandError(`nothing was done: limpet ${action.name} '${name}' --yes does it`)
    })
  }

  const addWithJson = (name: string, description: string) => withJson(add(name, description))
  registerBlockCommands(addWithJson, print)
  registerQuarantineCommand(addWithJson, print, now)

  withJson(
    add('source <name>', 'show a source that limpet follows, and what to do when its database was restored'),
  )
    .option('--continue', 'go on in a database that was restored to an older state')
    .action((name: string, options: Options, command: Command) => {
      const path = `/v1/sources/${encodeURIComponent(name)}`
      return options['continue'] === true
        ? print(
            command,
            (client) => client.post(`${path}/continue`),
            () => `${name} goes on the next time limpet reads it`,
          )
        : print(
            command,
            (client) => client.get(path),
            (answer) => showSource(answer as SourceAnswer, now()),
          )
    })

  withJson(add('sticky', 'list unexpired sticky events and the destinations that each is still owed to'))
    .option('--room <room_id>', 'only of this room')
    .option('--destination <name>', 'only those still owed to this destination')
    .option('--limit <n>', 'show at most this many (up to 1000)')
    .action((options: Options, command: Command) =>
      print(
        command,
        (client) =>
          client.get('/v1/sticky', {
            room_id: text(options['room']),
            destination: text(options['destination']),
            limit: text(options['limit']),
          }),
        (answer) => showSticky(answer as StickyAnswer, now()),
      ),
    )

  withJson(
    add(
      'explain <event_id>',
      'show what became of one event, or to-device message by its message_id, per destination',
    ),
  )
    .option('--destination <name>', 'for this destination only')
    .action((eventId: string, options: Options, command: Command) =>
      print(
        command,
        (client) =>
          client.get(`/v1/events/${encodeURIComponent(eventId)}`, {
            destination: text(options['destination']),
          }),
        (answer) => showExplain(answer as EventAnswer, now()),
      ),
    )
}

/** A command's own and the program's: `--config` belongs to both, and wherever it stands the program takes it. */
const optionsOf = (command: Command) => command.optsWithGlobals<Options>()

const withJson = (command: Command) => command.option('--json', "print the API's answer")

const text = (value: string | boolean | undefined) => (typeof value === 'string' ? value : undefined)
