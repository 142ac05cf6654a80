/**
 * How is each server of the fleet called, and which step of server discovery leads to it?
 *
 * Steps as in the specification, "Resolving server names". In every twelve servers each of them leads to at least one, and in the first
 * six there are `.well-known`, SRV, the usual port and an address. The parts of the story are played by the first eight, so outages and
 * errors come to names of each kind.
 */

/** The last step that is taken for a server, which says where it is. */
export type Way = '1' | '2' | '3.1' | '3.2' | '3.3' | '3.4' | '3.5' | '4' | '5' | '6'

const WAYS: readonly Way[] = ['3.2', '4', '1', '6', '3.3', '5', '1', '6', '3.1', '3.4', '3.5', '2']

/** Where the names are; no server outside the simulator is called so (RFC 6761). */
export const DOMAINS = {
  delegated: 'delegated.test',
  service: 'service.test',
  usual: 'usual.test',
  port: 'port.test',
  /** Hosts that others delegate to. */
  hosting: 'hosting.test',
} as const

export interface WayTo {
  readonly way: Way
  /** What the name consists of, without a port; null: it is an address. */
  readonly host: string | null
  /** What `.well-known` names, without a port; null: nothing is delegated, or to an address. */
  readonly delegate: string | null
}

export function wayTo(index: number): WayTo {
  const way = WAYS[index % WAYS.length] ?? '1'
  const within = (domain: string) => `s${index}.${domain}`
  if (way === '1') return { way, host: null, delegate: null }
  if (way === '2') return { way, host: within(DOMAINS.port), delegate: null }
  if (way === '6') return { way, host: within(DOMAINS.usual), delegate: null }
  if (way === '4' || way === '5') return { way, host: within(DOMAINS.service), delegate: null }
  const delegate = way === '3.1' ? null : within(DOMAINS.hosting)
  return { way, host: within(DOMAINS.delegated), delegate }
}

export type WayKind = '.well-known' | 'SRV' | 'usual port' | 'name with a port' | 'address'

export function kindOfWay(way: Way): WayKind {
  if (way === '1') return 'address'
  if (way === '2') return 'name with a port'
  if (way === '4' || way === '5') return 'SRV'
  return way === '6' ? 'usual port' : '.well-known'
}
