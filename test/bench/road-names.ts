/**
 * Which 500 plain names are there, where does each lead, and what is asked about it? Pure.
 *
 * - `healthy`: found by `.well-known`, by SRV, or by neither, in equal parts.
 * - `silent`: no question about it is ever answered.
 * - `swallowed`: its port for `.well-known` is a black hole, at an address of its own. Without a delegation it leads to a server that works.
 * - `family`: it has an IPv6 address that is a black hole, and an IPv4 address that works.
 */
import type { ZoneData, ZoneName } from '../../src/simulate/dns/zone.ts'

export type RoadKind = 'healthy' | 'silent' | 'swallowed' | 'family'

export interface RoadPorts {
  readonly https: number
  readonly matrix: number
}

export const ROAD_DOMAIN = 'road.example'
export const ROAD_KINDS = ['healthy', 'silent', 'swallowed', 'family'] as const
/** In this order again and again, so that no kind comes before another. */
const PATTERN: readonly RoadKind[] = ['silent', 'healthy', 'swallowed', 'silent', 'family']

const SERVERS = '127.0.0.1'
export const IPV6_HOLE = '::1'

const [LONG_S, NOTHING] = [3_600, { ttl: 3_600, negativeTtl: 3_600 }]

export const roadName = (kind: RoadKind, n: number): string => `${kind}${n}.${ROAD_DOMAIN}`
export const roadKind = (name: string): RoadKind | undefined =>
  ROAD_KINDS.find((kind) => name.startsWith(kind))

/** Of all kinds, for each `of` healthy ones one of each kind, and two that are silent. */
export function roadNames(of: number): string[] {
  const counts = { healthy: 0, silent: 0, swallowed: 0, family: 0 }
  return Array.from({ length: of * PATTERN.length }, (_, i) => {
    const kind = PATTERN[i % PATTERN.length] ?? 'healthy'
    return roadName(kind, counts[kind]++)
  })
}

const numberOf = (name: string): number => Number(/\d+/.exec(name)?.[0])

/** The way to a healthy one. */
const wayOf = (name: string) => (['well-known', 'srv', 'port'] as const)[numberOf(name) % 3]

const delegateOf = (name: string): string => `to-${name}`
const addressOfSwallowed = (name: string): string =>
  `127.1.${Math.floor(numberOf(name) / 250)}.${1 + (numberOf(name) % 250)}`

/** Where nothing answers. */
export function roadHoles(names: readonly string[], { https, matrix }: RoadPorts) {
  const swallowed = names.filter((name) => roadKind(name) === 'swallowed')
  return [
    ...swallowed.map((name) => ({ host: addressOfSwallowed(name), port: https })),
    ...[https, matrix].map((port) => ({ host: IPV6_HOLE, port })),
  ]
}

/** What `https://NAME/.well-known/matrix/server` says; null: it is not there. */
export function roadDelegation(name: string, { matrix }: RoadPorts): string | null {
  return roadKind(name) === 'healthy' && wayOf(name) === 'well-known' ? `${delegateOf(name)}:${matrix}` : null
}

export function roadZone(names: readonly string[], ports: RoadPorts): ZoneData {
  return Object.fromEntries(names.flatMap((name) => entriesOf(name, ports)))
}

function entriesOf(name: string, { matrix }: RoadPorts): [string, ZoneName][] {
  const here = { a: [SERVERS], ttl: LONG_S, negativeTtl: LONG_S }
  // There, and without records: that is remembered as long as the rest.
  const services = ['_matrix-fed', '_matrix'].map((service): [string, ZoneName] => [
    `${service}._tcp.${name}`,
    NOTHING,
  ])
  switch (roadKind(name)) {
    case 'silent':
      return [name, `*.${name}`].map((each) => [each, { instead: 'silent' }])
    case 'swallowed':
      return [[name, { ...here, a: [addressOfSwallowed(name)] }], ...services]
    case 'family':
      return [[name, { ...here, aaaa: [IPV6_HOLE] }], ...services]
    default:
  }
  const delegate: [string, ZoneName] = [delegateOf(name), here]
  if (wayOf(name) === 'well-known') return [[name, here], delegate]
  if (wayOf(name) === 'port') return [[name, here], ...services]
  const srv = [{ port: matrix, target: delegateOf(name) }]
  return [[name, here], delegate, [`_matrix-fed._tcp.${name}`, { ...NOTHING, srv }]]
}

/** What DNS is asked about a name, each with its type. */
export function roadQuestions(name: string): [asked: string, type: string][] {
  return [
    ...[name, delegateOf(name)].flatMap((host): [string, string][] => [
      [host, 'A'],
      [host, 'AAAA'],
    ]),
    [`_matrix-fed._tcp.${name}`, 'SRV'],
    [`_matrix._tcp.${name}`, 'SRV'],
  ]
}

/** The address of a black hole at the port for `.well-known`, by name: who is dialled there is dialled for that name. */
export const holeOf = (name: string): string | null =>
  roadKind(name) === 'swallowed' ? addressOfSwallowed(name) : null
