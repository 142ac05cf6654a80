/**
 * A TLS server that does to each request what a test says, down to the bytes and the way a connection ends.
 *
 * A real HTTP server closes politely, at moments of its own. What happens when a connection ends while a request
 * is on its way can be shown only by a server that has the sockets themselves.
 */
import { once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'

export interface RawRequest {
  /** Counts all requests, from 1. */
  readonly n: number
  /** Which connection it came over, from 1. */
  readonly connection: number
  /** The request line. */
  readonly line: string
  readonly body: string
  readonly socket: TLSSocket
  /** Ends the connection with a TCP reset, without TLS's goodbye. */
  readonly reset: () => void
  /** Ends it with TLS's goodbye alone (close_notify); TCP stays as it is. */
  readonly sayGoodbye: () => void
}

export interface RawRemote {
  /** `127.0.0.1:PORT`. */
  readonly serverName: string
  readonly requests: readonly RawRequest[]
  /** TCP connections accepted. */
  readonly connections: number
  close(): void
}

/** An answer to a transaction, with what `headers` adds. */
export const answer = (headers = '') =>
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n${headers}Content-Length: 11\r\n\r\n{"pdus":{}}`

export interface RawRemoteOptions {
  /** Calls `does` when the head of a request is there and does not read on. */
  readonly atHead?: boolean
  /** Asked at each TCP connection, from 1; one that is not greeted is accepted, and then nothing happens. */
  readonly greets?: (connection: number) => boolean
}

/** Starts one; `does` is called with each request that is there whole. */
export async function startRawRemote(
  tls: KeyPair,
  does: (request: RawRequest) => unknown,
  { atHead = false, greets = () => true }: RawRemoteOptions = {},
): Promise<RawRemote> {
  const requests: RawRequest[] = []
  const raw = new Map<number | undefined, { socket: Socket; connection: number }>()
  let connections = 0

  const secure = createServer({ ...tls, allowHalfOpen: true }, (socket) => {
    const below = raw.get(socket.remotePort)
    let read = ''
    socket.on('error', () => undefined)
    socket.on('end', () => socket.end())
    socket.on('data', (chunk: Buffer) => {
      read += chunk.toString('latin1')
      const head = read.indexOf('\r\n\r\n')
      if (head < 0) return
      const length = Number(/^content-length: (\d+)$/im.exec(read.slice(0, head))?.[1] ?? 0)
      const end = head + 4 + length
      if (!atHead && read.length < end) return
      const body = Buffer.from(read.slice(head + 4, end), 'latin1').toString()
      const line = read.slice(0, read.indexOf('\r\n'))
      read = read.slice(end)
      if (atHead) socket.pause()
      const request: RawRequest = {
        ...{ n: requests.length + 1, connection: below?.connection ?? 0, line, body, socket },
        reset: () => below?.socket.resetAndDestroy(),
        sayGoodbye: () => socket.end(),
      }
      requests.push(request)
      does(request)
    })
  })
  secure.on('tlsClientError', () => undefined)
  const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
    const connection = ++connections
    raw.set(socket.remotePort, { socket, connection })
    socket.on('error', () => undefined)
    if (greets(connection)) secure.emit('connection', socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    serverName: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get connections() {
      return connections
    },
    close() {
      for (const { socket } of raw.values()) socket.destroy()
      server.close()
    },
  }
}
