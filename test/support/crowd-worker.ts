/** The other side of `crowd.ts`: hundreds of homeservers behind one listener, told apart by the loopback address that they are reached at. */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttpsServer, type Server } from 'node:https'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { answerParent, machineMs } from '../bench/child.ts'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'
import { blockOf, type Behaves, type CrowdCounts, type Order } from './crowd.ts'

const behaviours = new Map<number, Behaves>()
const arrivals = new Map<number, number>()
const requests = new Map<string, number[]>()
const counts: CrowdCounts = { open: 0, mostOpen: 0, connections: 0, unanswered: 0, mostUnanswered: 0 }

/** The second number of the address says to which group it belongs. */
const groupOf = (address: string) => Number(address.replace('::ffff:', '').split('.')[1])
const behaves = (address: string): Behaves => behaviours.get(groupOf(address)) ?? 'well'

answerParent({
  async listen({ tls }: Order) {
    const servers = new Map(Object.entries(tls).map(([block, pair]) => [block, httpsServer(pair)]))
    const listener = createServer({ noDelay: true }, (socket) => {
      count(socket)
      const address = socket.localAddress ?? ''
      if (behaves(address) === 'silent') socket.on('error', () => undefined).resume()
      else servers.get(blockOf(address))?.emit('connection', socket)
    })
    listener.listen({ port: 0, host: '0.0.0.0', backlog: 511 })
    await once(listener, 'listening')
    return (listener.address() as AddressInfo).port
  },
  behave: ({ group, how }: { group: number; how: Behaves }) => void behaviours.set(group, how),
  arrivals: () => arrivals,
  requests: () => requests,
  counts: () => counts,
})

function httpsServer(tls: KeyPair): Server {
  const server = createHttpsServer({ ...tls, keepAliveTimeout: 600_000, requestTimeout: 0, noDelay: true })
  server.on('request', serve)
  server.on('tlsClientError', () => undefined)
  return server
}

function count(socket: Socket): void {
  counts.connections += 1
  counts.open += 1
  counts.mostOpen = Math.max(counts.mostOpen, counts.open)
  socket.once('close', () => (counts.open -= 1))
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  const name = request.headers.host ?? ''
  const at = machineMs()
  requests.set(name, [...(requests.get(name) ?? []), at])
  counts.unanswered += 1
  counts.mostUnanswered = Math.max(counts.mostUnanswered, counts.unanswered)
  response.once('close', () => (counts.unanswered -= 1))
  request.on('error', () => undefined)
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const how = behaves(name)
    if (how === 'hang') return
    if (how === 'flood') flood(response)
    else answer(response, Buffer.concat(chunks).toString())
  })
}

function answer(response: ServerResponse, text: string): void {
  const { pdus } = JSON.parse(text) as { pdus: { content: { n?: number } }[] }
  const at = machineMs()
  for (const { content } of pdus) if (content.n !== undefined) arrivals.set(content.n, at)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 })
  response.end('{}')
}

const PIECE = Buffer.alloc(65_536, ' ')

/** A body without an end. */
function flood(response: ServerResponse): void {
  response.on('error', () => undefined)
  response.writeHead(200, { 'content-type': 'application/json' })
  const more = () => {
    while (!response.destroyed && response.write(PIECE));
  }
  response.on('drain', more)
  more()
}
