/**
 * The commands that look at a running daemon. Each asks its admin API and prints what it answers, as text for people or
 * (`--json`) as it is.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import { pathOf, registerActionCommands } from './act.ts'
import type {
  DestinationsAnswer,
  EventAnswer,
  PreviewAnswer,
  SourceAnswer,
  StatusAnswer,
  StickyAnswer,
} from './answers.ts'
import { registerBlockCommands } from './blocks.ts'
import type { DiscoveryReport } from '../../discovery/report.ts'
import type { Io } from '../io.ts'
import { DESTINATION_ORDERS } from '../../store/views/destination-orders.ts'
import { askDestinationPage, showDestination } from './destination.ts'
import { showDestinations } from './destinations.ts'
import { showDiscovery } from './discover.ts'
import { showExplain } from './explain.ts'
import { askDestinations, askUrgentFirst, list, mostOf } from './list.ts'
import { showPreview } from './preview.ts'
import { makePrinting, type CommandOptions, type PrintingNeeds } from './printing.ts'
import { registerQuarantineCommand } from './quarantine.ts'
import { SHAPES } from './shape.ts'
import { suggesting } from './similar.ts'
import { showSource } from './source.ts'
import { showStatus, URGENCY } from './status.ts'
import { showSticky } from './sticky.ts'

const REAL: PrintingNeeds = { now: Date.now, wait: (ms) => pause(ms, true) }

/** What the options of a list say, in the help. */
const LIMIT = ['--limit <n>', 'show at most this many (100)'] as const
const ALL = ['--all', 'show all'] as const

/** Adds the commands to `program`. */
export function registerAdminCommands(program: Command, io: Io, needs: PrintingNeeds = REAL): void {
  const printing = makePrinting(program, io, needs)
  const { add, addWatched, print, now } = printing

  addWatched('status', 'show totals: position, destinations by state, backlog, throughput').action(
    (_options: object, command: Command) =>
      print(command, {
        ask: (client) => client.get('/v1/status', SHAPES.status) as Promise<StatusAnswer>,
        show: (answer, screen) => showStatus(answer, now(), screen),
      }),
  )

  addWatched('destinations', 'list destinations, what is urgent first')
    .option('--state <state>', `only those in this state: ${URGENCY.join(', ')}`)
    .option('--order-by <field>', `one of ${DESTINATION_ORDERS.join(', ')}`)
    .option('--dir <f|b>', 'f: ascending; b: descending')
    .option('--search <text>', 'only names that contain this text')
    .option(...LIMIT)
    .option(...ALL)
    .action((options: CommandOptions, command: Command) => {
      const { state, orderBy, dir, search } = textsOf(options)
      const asked = { state, orderBy, dir, search, most: mostOf(listed(options)) }
      const isOrdered = orderBy !== undefined || dir !== undefined
      return print(command, {
        ask: (client) =>
          isOrdered
            ? (askDestinations(client, asked) as Promise<DestinationsAnswer>)
            : askUrgentFirst(client, asked),
        json: (client) => askDestinations(client, asked),
        show: (answer, screen) => showDestinations(answer, now(), screen),
      })
    })

  addWatched(
    'destination <name>',
    'show one destination: what it is owed, and why nothing goes out or what goes next',
  ).action((name: string, _options: object, command: Command) => {
    const path = pathOf(name)
    return print(command, {
      json: (client) => suggesting(client, name, () => client.get(path, SHAPES.destination)),
      ask: (client) => suggesting(client, name, () => askDestinationPage(client, name)),
      show: (page, screen) => showDestination(page, now(), screen),
    })
  })

  add('discover <name>', 'show how a server name is resolved, step by step, and where a connection would go')
    .option('--fresh', 'ask again, whatever is remembered')
    .action((name: string, options: CommandOptions, command: Command) => {
      const path = `${pathOf(name)}/discovery`
      const query = options['fresh'] === true ? { fresh: 'true' } : {}
      return print(command, {
        ask: (client) => client.get(path, SHAPES.discovery, query) as Promise<DiscoveryReport>,
        show: showDiscovery,
      })
    })

  add('preview <name>', 'show the next transaction to a destination, without sending it').action(
    (name: string, _options: object, command: Command) => {
      const path = `${pathOf(name)}/preview`
      return print(command, {
        ask: (client) =>
          suggesting(client, name, () => client.get(path, SHAPES.preview) as Promise<PreviewAnswer>),
        show: (answer, screen) => showPreview(answer, now(), screen),
      })
    },
  )

  registerActionCommands(printing, io)
  registerBlockCommands(printing)
  registerQuarantineCommand(printing)

  add('source <name>', 'show a source that limpet follows, and what to do when its database was restored')
    .option('--continue', 'go on in a database that was restored to an older state')
    .action((name: string, options: CommandOptions, command: Command) => {
      const path = `/v1/sources/${encodeURIComponent(name)}`
      return options['continue'] === true
        ? print(command, {
            ask: (client) => client.post(`${path}/continue`, SHAPES.done),
            show: () => `${name} goes on the next time limpet reads it`,
          })
        : print(command, {
            ask: (client) => client.get(path, SHAPES.source) as Promise<SourceAnswer>,
            show: (answer, screen) => showSource(answer, now(), screen),
          })
    })

  addWatched('sticky', 'list unexpired sticky events and the destinations that each is still owed to')
    .option('--room <room_id>', 'only of this room')
    .option('--destination <name>', 'only those still owed to this destination')
    .option(...LIMIT)
    .option(...ALL)
    .action((options: CommandOptions, command: Command) => {
      const { room, destination } = textsOf(options)
      const most = mostOf(listed(options))
      const ask = (order: { order_by?: string }) => (client: Parameters<typeof list>[0]) =>
        suggesting(client, destination, () =>
          list(client, {
            ...{ path: '/v1/sticky', field: 'sticky', shape: SHAPES.sticky, most },
            query: { room_id: room, destination, ...order },
            idOf: ({ event_id }: StickyAnswer['sticky'][number]) => event_id,
          }),
        ) as Promise<StickyAnswer>
      return print(command, {
        ask: ask({ order_by: 'expires_at' }),
        json: ask({}),
        show: (answer, screen) => showSticky(answer, now(), screen),
      })
    })

  addWatched(
    'explain <event_id>',
    'show what became of one event, or to-device message by its message_id, per destination',
  )
    .option('--destination <name>', 'for this destination only')
    .option('--all', 'show all destinations (otherwise 100, those that have it last)')
    .action((eventId: string, options: CommandOptions, command: Command) => {
      const { destination } = textsOf(options)
      const path = `/v1/events/${encodeURIComponent(eventId)}`
      return print(command, {
        ask: (client) =>
          suggesting(
            client,
            destination,
            () => client.get(path, SHAPES.event, { destination }) as Promise<EventAnswer>,
          ),
        show: (answer, screen) => showExplain(answer, now(), screen, options['all'] === true),
      })
    })
}

const listed = ({ limit, all }: CommandOptions) => ({
  limit: typeof limit === 'string' ? limit : undefined,
  all: all === true,
})

/** Those that are texts. */
const textsOf = (options: CommandOptions): Readonly<Record<string, string | undefined>> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => typeof value === 'string')) as Record<
    string,
    string
  >
