/**
 * A strict remote homeserver over TLS on loopback, for the demo's fleet, the benchmark and the tests.
 *
 * It has one endpoint, `PUT /_matrix/federation/v1/send/{txnId}`, and holds its sender to everything that the spec
 * demands: signed by whom and for whom, 50 PDUs, 100 EDUs and their form, one transaction at a time, the same bytes each time. What a
 * correct sender never does is refused if a server would refuse it, and always recorded in `violations`. The server
 * survives `stop` and `restart` with its memory and its port, as a real one does with its database.
 */
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Clock } from '../../pace/clock.ts'
import type { Behaves } from './behaviour.ts'
import type { KeyPair } from './certs.ts'
import type { KeptEdus } from './edu-memory.ts'
import { makeReceiver } from './receiver.ts'
import type { ReceivedPdu, ReceiverOptions, Reply } from './receiver.ts'
import type { LoggedTransaction } from './transaction-log.ts'

export interface FakeHomeserverOptions extends Omit<ReceiverOptions, 'expected'> {
  readonly tls: KeyPair
  /** The sender's server name. */
  readonly origin: string
  /** The sender's public key (32 bytes, or base64) for a key id such as `ed25519:a_1`; null: unknown. */
  readonly verifyKey: (keyId: string) => Uint8Array | string | null
  readonly clock: Clock
  /** What it is called; default `HOSTNAME:PORT`. Another name is for a server behind a proxy. */
  readonly name?: string
  /** The host in that default; its own default is the address. */
  readonly hostName?: string
  /** The address to listen on; default 127.0.0.1. */
  readonly host?: string
  /** Default: one that is free. */
  readonly port?: number
  /** Is told what comes of requests that `onRequest` is not told of, and of clients that break off the handshake. */
  readonly onOther?: (what: OtherContact) => void
  /** The only `Host` header that it answers to without complaint, by its port. Default: any. */
  readonly hostHeader?: (port: number) => string
}

export type OtherContact =
  /** Not to `/send`: answered with 404. */
  | { readonly kind: 'not here'; readonly method: string; readonly path: string }
  /** The connection ended before the request was whole. */
  | { readonly kind: 'cut off'; readonly txnId: string }
  /** Such as one that does not trust our certificate. */
  | { readonly kind: 'no handshake'; readonly error: Error }
  /** A connection was closed before any request came on it. */
  | { readonly kind: 'no request' }

export interface FakeHomeserver {
  readonly serverName: string
  readonly port: number
  /** In the order in which their first requests arrived. */
  readonly transactions: readonly LoggedTransaction[]
  /** The PDUs it took, by event id, in the order in which it took them. */
  readonly received: ReadonlyMap<string, ReceivedPdu>
  /** What it took and remembers of EDUs. */
  readonly edus: KeptEdus
  readonly violations: readonly string[]
  /** Requests to `/send` whose headers arrived, those that were cut off or refused too. */
  readonly requests: number
  /** The most of those that were ever open at once; more than 1 is the sender's fault. */
  readonly mostOpenAtOnce: number
  /** The `Host` headers it was asked under, each once. */
  readonly hosts: readonly string[]
  /** TLS handshakes completed. */
  readonly connections: number
  /** Connections that are open now. */
  readonly openConnections: number
  behave(behaviour: Behaves): void
  /** Serves a connection that another listener has accepted; closes it while it is stopped. */
  take(socket: TLSSocket): void
  /** Resolves when the headers of `n` requests in all have arrived. */
  seen(n: number): Promise<void>
  /** Whatever is unanswered now may be followed by another transaction id. */
  forgive(): void
  /** Closes the port and every connection; the memory stays. */
  stop(): Promise<void>
  /** Listens again, on the same port. */
  restart(): Promise<void>
}

const SEND_PATH = /^\/_matrix\/federation\/v1\/send\/([^/?]+)$/

/** Starts one. Throws where it can't listen. */
export async function startFakeHomeserver(options: FakeHomeserverOptions): Promise<FakeHomeserver> {
  const { clock, origin, verifyKey, host = '127.0.0.1' } = options
  const sockets = new Set<Socket>()
  const waiters: { n: number; resolve: () => void }[] = []
  const hosts = new Set<string>()
  let requests = 0
  let open = 0
  let mostOpenAtOnce = 0
  let connections = 0

  const server = createServer({ ...options.tls, keepAliveTimeout: 600_000, requestTimeout: 0 })
  const keep = (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  server.on('connection', keep)
  const unused = new WeakSet<Socket>()
  server.on('secureConnection', (socket: TLSSocket) => {
    connections++
    unused.add(socket)
    socket.once('close', () => {
      if (unused.has(socket)) options.onOther?.({ kind: 'no request' })
    })
  })
  server.on('tlsClientError', (error) => options.onOther?.({ kind: 'no handshake', error }))
  await listen(options.port ?? 0)
  const { port } = server.address() as AddressInfo
  const hostName = options.hostName ?? (host.includes(':') ? `[${host}]` : host)
  const serverName = options.name ?? `${hostName}:${port}`
  const receiver = makeReceiver({ ...options, expected: { origin, destination: serverName, verifyKey } })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    serve(request, response).catch((error: unknown) => {
      receiver.log.complain(`the fake homeserver itself failed: ${String(error)}`)
      response.destroy()
    })
  })

  async function listen(wanted: number): Promise<void> {
    server.listen(wanted, host)
    await once(server, 'listening') // `once` throws what an `error` event says.
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    unused.delete(request.socket)
    const uri = request.url ?? ''
    const encoded = SEND_PATH.exec(uri)?.[1]
    if (request.method !== 'PUT' || encoded === undefined) {
      options.onOther?.({ kind: 'not here', method: request.method ?? '', path: uri })
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end('{"errcode":"M_UNRECOGNIZED","error":"Unrecognized request"}')
      return
    }
    const txnId = decodeURIComponent(encoded)
    count(request, response)
    const n = requests
    const at = clock.now()
    const body = await readWhole(request)
    if (body === null) {
      receiver.log.cutOff(txnId, at)
      options.onOther?.({ kind: 'cut off', txnId })
      return
    }
    const { authorization } = request.headers
    await carryOut(receiver.receive({ txnId, uri, authorization, body, n, at }), txnId, response)
  }

  function count(request: IncomingMessage, response: ServerResponse): void {
    requests++
    const { host: said } = request.headers
    if (said !== undefined) hosts.add(said)
    const right = options.hostHeader?.(port)
    if (right !== undefined && said !== right)
      receiver.log.complain(`asked for under the Host header ${said ?? '(none)'}, not ${right}`)
    open++
    mostOpenAtOnce = Math.max(mostOpenAtOnce, open)
    response.once('close', () => open--)
    for (const waiter of waiters) if (waiter.n === requests) waiter.resolve()
  }

  async function carryOut(reply: Reply, txnId: string, response: ServerResponse): Promise<void> {
    if (reply.kind === 'hang') return
    if (reply.delayMs > 0) {
      // For a sender that has gone nobody waits: a timer would keep the process from ending.
      const gone = new AbortController()
      response.once('close', () => gone.abort())
      await clock.sleep(reply.delayMs, response.destroyed ? AbortSignal.abort() : gone.signal)
      if (response.destroyed) return
    }
    if (reply.kind === 'destroy') {
      response.destroy()
    } else if (reply.kind === 'half an answer') {
      const length = Buffer.byteLength(reply.body)
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': length })
      response.write(reply.body.slice(0, Math.ceil(reply.body.length / 2)), () => response.destroy())
    } else {
      response.writeHead(reply.status, { ...reply.headers, 'content-length': Buffer.byteLength(reply.body) })
      if (reply.status === 200) writeAnswer(txnId, reply.body, response)
      if (reply.status !== 200 && isRefusal(reply)) receiver.log.refused(txnId, reply.status)
      response.end(reply.status === 200 ? undefined : reply.body)
    }
  }

  function writeAnswer(txnId: string, body: string, response: ServerResponse): void {
    // Nothing else tells a failure surely: `finish` and `writableFinished` come for a dead socket, too, and the
    // callback of a write that was cut short has sometimes an error and sometimes a destroyed socket.
    let whole = body === ''
    const { socket } = response
    response.write(body, (error) => (whole = error == null && socket?.destroyed === false))
    if (response.destroyed || receiver.log.find(txnId)?.answered === true) return
    // Marked now, not when it is out: the sender may come with its next id before we hear of that.
    receiver.log.answered(txnId, true)
    response.once('close', () => {
      if (!whole) receiver.log.answered(txnId, false)
    })
  }

  return {
    serverName,
    port,
    transactions: receiver.log.transactions,
    received: receiver.received,
    edus: receiver.edus,
    violations: receiver.log.violations,
    get requests() {
      return requests
    },
    get mostOpenAtOnce() {
      return mostOpenAtOnce
    },
    get hosts() {
      return [...hosts]
    },
    get connections() {
      return connections
    },
    get openConnections() {
      return sockets.size
    },
    behave: (behaviour) => receiver.behave(behaviour),
    take(socket) {
      keep(socket)
      if (server.listening) server.emit('secureConnection', socket)
      else socket.destroy()
    },
    seen: (n) => (n <= requests ? Promise.resolve() : new Promise((resolve) => waiters.push({ n, resolve }))),
    forgive: () => receiver.log.forgive(),
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
    restart: () => listen(port),
  }
}

/** Not an answer that says when to come again, or that it is gone. */
const isRefusal = ({
  status,
  headers,
}: {
  status: number
  headers?: Readonly<Record<string, string>>
}): boolean => status !== 410 && status !== 429 && headers?.['retry-after'] === undefined

/** The request's body, or null where its connection ended before it was whole. */
async function readWhole(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    return null
  }
  return request.complete ? Buffer.concat(chunks).toString() : null
}
