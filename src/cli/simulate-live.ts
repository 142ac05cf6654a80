/**
 * `limpet simulate`, while it runs: a table that is drawn again and again on a terminal, plain lines elsewhere.
 *
 * Both go to standard error: what a run ends with is its output.
 */
import type { Fleet } from '../simulate/fleet.ts'
import { partOf } from '../simulate/story-cast.ts'
import type { Plan } from '../simulate/story-plan.ts'
import type { Traffic } from '../simulate/traffic.ts'
import type { DestinationsAnswer } from './answers.ts'
import type { Output } from './io.ts'
import { cut, table, WIDTH } from './table.ts'
import type { Column } from './table.ts'

export interface Live {
  /** One line about what happens now. */
  tell(line: string): void
  /** From here on there is something to show. */
  watch(what: Watched): void
  /** Leaves the last picture as it is. */
  end(): void
}

export interface Watched {
  readonly plan: Plan
  readonly fleet: Fleet
  readonly traffic: Traffic
  readonly get: (path: string) => Promise<unknown>
}

/** A terminal tells its height. */
type Screen = Output & { readonly rows?: number }

const DRAW_MS = 500
const LINE_MS = 5000
/** Lines beside the servers' own. */
const FRAME = 6
const USUAL_ROWS = 24

export function makeLive(output: Screen, now: () => number): Live {
  const began = now()
  const seconds = () => `${((now() - began) / 1000).toFixed(1).padStart(6)} s`
  const terminal = output.isTTY === true
  let watched: Watched | null = null
  let timer: NodeJS.Timeout | undefined
  let drawn = 0
  let asking = false
  const states = new Map<string, string>()

  function tell(line: string): void {
    erase()
    output.write(`${seconds()}  ${line}\n`)
    draw()
  }
  function erase(): void {
    if (drawn > 0) output.write(`\u001b[${drawn}A\u001b[J`)
    drawn = 0
  }
  function draw(): void {
    if (!terminal || watched === null) return
    const text = picture(watched, states, output.rows ?? USUAL_ROWS)
    erase()
    output.write(`${text}\n`)
    drawn = text.split('\n').length
  }
  async function ask({ get }: Watched): Promise<void> {
    if (asking) return
    asking = true
    try {
      const { destinations } = (await get('/v1/destinations?limit=1000')) as DestinationsAnswer
      for (const { destination, state } of destinations) states.set(destination, state)
    } catch {
      // Whether limpet answers is the story's concern; here the old state stays.
    }
    asking = false
  }

  return {
    tell,
    watch(what) {
      watched = what
      timer = setInterval(
        () => {
          if (terminal) void ask(what).then(draw)
          else tell(progressLine(what))
        },
        terminal ? DRAW_MS : LINE_MS,
      )
    },
    end() {
      clearInterval(timer)
      draw()
      watched = null
      drawn = 0
    },
  }
}

interface Row {
  server: string
  part: string
  state: string
  owed: number
  received: number
  inFlight: number
  transactions: number
}

function rowsOf({ plan, fleet, traffic }: Watched, states: ReadonlyMap<string, string>): Row[] {
  return fleet.servers.map(({ serverName: server, received, transactions }, index) => ({
    server,
    part: partOf(plan.cast, index),
    state: states.get(server) ?? 'unknown',
    owed: traffic.claims.of(server).length,
    received: received.size,
    inFlight: transactions.at(-1)?.answered === false ? (transactions.at(-1)?.pduIds.length ?? 0) : 0,
    transactions: transactions.length,
  }))
}

function picture(watched: Watched, states: ReadonlyMap<string, string>, height: number): string {
  const rows = rowsOf(watched, states)
  const columns: Column<Row>[] = [
    { title: 'DESTINATION', value: ({ server }) => server },
    { title: 'STATE', value: ({ state }) => state },
    { title: 'OWED', value: ({ owed }) => owed, right: true },
    { title: 'RECEIVED', value: ({ received }) => received, right: true },
    { title: 'IN FLIGHT', value: ({ inFlight }) => inFlight, right: true },
    { title: 'TRANSACTIONS', value: ({ transactions }) => transactions, right: true },
    { title: 'NOTE', value: ({ part }) => part, shrinkTo: 8 },
  ]
  const room = Math.max(1, height - FRAME)
  const hidden = rows.length - room
  const more = hidden > 0 ? [`… and ${hidden} more that are just well`] : []
  return [table(rows.slice(0, room), columns), ...more, progressLine(watched)].map((line) => line).join('\n')
}

function progressLine({ plan, fleet, traffic }: Watched): string {
  const count = (value: number) => value.toLocaleString('en-US')
  const received = fleet.servers.reduce((sum, server) => sum + server.received.size, 0)
  const owed = fleet.servers.reduce((sum, { serverName }) => sum + traffic.claims.of(serverName).length, 0)
  return cut(
    `${count(traffic.events)} of ${count(plan.sizes.events)} events told, ${count(owed)} owed, ${count(received)} received`,
    WIDTH,
  )
}
