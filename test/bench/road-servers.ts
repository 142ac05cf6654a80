/**
 * The servers of the part `road`, in two processes of their own: one answers DNS, the other is the web server for `.well-known` and all
 * the homeservers. It notes when a transaction came for each destination.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { parseXMatrix } from '../../src/matrix/x-matrix.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { startDnsServer, type DnsServer } from '../../src/simulate/dns/server.ts'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'
import { answerParent, machineMs } from './child.ts'
import { roadDelegation, roadKind, roadQuestions, roadZone, type RoadPorts } from './road-names.ts'

export interface RoadServers {
  names: string[]
  ports: RoadPorts
  tls: KeyPair
}

/** By destination: when its first transaction was there since the last `clear`, by the machine's clock, ms. */
let arrivals = new Map<string, number>()
/** When the event numbered so was at its healthy destination, while that is recorded. */
let numbered: Map<number, number> | null = null
let dns: DnsServer | null = null
let known: readonly string[] = []

answerParent({
  /** Its port. */
  dns: async ({ names, ports }: RoadServers) => {
    known = names
    dns = await startDnsServer({ clock: systemClock, zone: roadZone(names, ports) })
    return dns.port
  },
  /** Questions so far about each name. */
  questions: () => new Map(known.map((name) => [name, questionsAbout(name)])),
  servers: async ({ ports, tls }: RoadServers) => {
    await listening(
      createServer(tls, (...asked) => web(ports, ...asked)),
      '127.0.0.1',
      ports.https,
    )
    await listening(createServer({ ...tls, keepAliveTimeout: 600_000 }, homeserver), '0.0.0.0', ports.matrix)
  },
  clear: () => {
    arrivals = new Map()
  },
  arrivals: () => arrivals,
  record: (on: boolean) => {
    numbered = on ? new Map() : null
  },
  numbered: () => numbered ?? new Map(),
})

function questionsAbout(name: string): number {
  return roadQuestions(name).reduce((sum, [asked, type]) => sum + (dns?.asked(asked, type) ?? 0), 0)
}

async function listening(server: Server, host: string, port: number): Promise<void> {
  server.listen({ port, host, backlog: 1_024 })
  await once(server, 'listening')
}

function web(ports: RoadPorts, { headers }: IncomingMessage, response: ServerResponse): void {
  const name = /^[^:]+/.exec(headers.host ?? '')?.[0] ?? ''
  const to = roadDelegation(name, ports)
  if (to === null) response.writeHead(404).end()
  else response.writeHead(200).end(JSON.stringify({ 'm.server': to }))
}

function homeserver(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const destination = parseXMatrix(request.headers.authorization ?? '')?.destination ?? ''
    if (!arrivals.has(destination)) arrivals.set(destination, machineMs())
    if (numbered !== null && roadKind(destination) === 'healthy') noteIn(numbered, Buffer.concat(chunks))
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 })
    response.end('{}')
  })
}

function noteIn(numbers: Map<number, number>, body: Buffer): void {
  const { pdus } = JSON.parse(body.toString()) as { pdus: { content: { n?: number } }[] }
  for (const { content } of pdus) if (content.n !== undefined) numbers.set(content.n, machineMs())
}
