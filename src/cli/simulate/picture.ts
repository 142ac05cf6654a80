/** What `limpet simulate` shows of each destination while it runs, as lines. */
import type { Fleet } from '../../simulate/fleet/fleet.ts'
import { partOf } from '../../simulate/story/cast.ts'
import type { StoryPlan } from '../../simulate/story/plan.ts'
import type { Traffic } from '../../simulate/fleet/traffic.ts'
import { owedByJoin } from '../../simulate/verdict/claims.ts'
import { tintOfState } from '../admin/destinations.ts'
import { table } from '../admin/table.ts'
import type { Column } from '../admin/table.ts'
import type { Screen } from '../screen.ts'

export interface Shown {
  readonly plan: StoryPlan
  readonly fleet: Pick<Fleet, 'servers'>
  readonly traffic: Pick<Traffic, 'claims' | 'events'>
}

/** Lines beside the servers' own. */
const FRAME = 6

interface Row {
  server: string
  part: string
  state: string
  owed: number
  received: number
  inFlight: number
  transactions: number
}

function rowsOf({ plan, fleet, traffic }: Shown, states: ReadonlyMap<string, string>): Row[] {
  return fleet.servers.map(({ serverName: server, received, transactions }, index) => ({
    server,
    part: partOf(plan.cast, index),
    state: states.get(server) ?? 'unknown',
    owed: owedTo(traffic, server),
    received: received.size,
    inFlight: transactions.at(-1)?.answered === false ? (transactions.at(-1)?.pduIds.length ?? 0) : 0,
    transactions: transactions.length,
  }))
}

const owedTo = ({ claims }: Shown['traffic'], server: string) =>
  claims.of(server).length + owedByJoin(claims, server, Infinity).length

/** The lines of the whole table, no more and no wider than the screen. `states`: what limpet says of each server. */
export function picture(shown: Shown, states: ReadonlyMap<string, string>, screen: Screen): string[] {
  const rows = rowsOf(shown, states)
  const columns: Column<Row>[] = [
    { title: 'DESTINATION', value: ({ server }) => server },
    { title: 'STATE', value: ({ state }) => state, tint: ({ state }) => tintOfState(state) },
    { title: 'OWED', value: ({ owed }) => owed, right: true },
    { title: 'RECEIVED', value: ({ received }) => received, right: true },
    { title: 'IN FLIGHT', value: ({ inFlight }) => inFlight, right: true, spare: 2 },
    { title: 'TRANSACTIONS', value: ({ transactions }) => transactions, right: true, spare: 1 },
    { title: 'NOTE', value: ({ part }) => part, shrinkTo: 8 },
  ]
  const room = Math.max(1, screen.height - FRAME)
  const more = rows.length > room ? [`… and ${rows.length - room} more`] : []
  return [...table(rows.slice(0, room), columns, screen).split('\n'), ...more, progressLine(shown)]
}

/** How far it all is, in one line. */
export function progressLine({ plan, fleet, traffic }: Shown): string {
  const count = (value: number) => value.toLocaleString('en-US')
  const received = fleet.servers.reduce((sum, server) => sum + server.received.size, 0)
  const owed = fleet.servers.reduce((sum, { serverName }) => sum + owedTo(traffic, serverName), 0)
  const told = `${count(traffic.events)} of ${count(plan.sizes.events)} events sent to limpet`
  return `${told}, ${count(owed)} owed, ${count(received)} received`
}
