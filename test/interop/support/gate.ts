/**
 * The federation door of a homeserver: TLS and nothing else, as a reverse proxy before a Synapse is.
 *
 * It lets a story see what really arrives (every request, by whom, with which PDUs and which answer), cut one server
 * off from another, and hold an answer back. Closed, it breaks every connection at once, like a server that is down; it
 * keeps its port all the same, so that nobody else can take it meanwhile.
 */
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { isJsonObject, type JsonObject } from '../../../src/matrix/json-value.ts'
import { parseXMatrix } from '../../../src/matrix/x-matrix.ts'
import type { KeyPair } from '../../../src/simulate/fleet/certs.ts'

/** One request that came in whole. */
export interface Knock {
  /** Milliseconds since the epoch. */
  readonly at: number
  /** The server that signed it; null: nobody. */
  readonly origin: string | null
  readonly method: string
  readonly path: string
  /** The `Host` header. */
  readonly host: string | null
  /** The name that TLS was asked for (SNI); null: none. */
  readonly sni: string | null
  readonly body: string
  /** Null until it is answered, and where it never was. */
  status: number | null
  answer: string | null
}

export interface Gate {
  readonly port: number
  /** Shows another certificate from now on, and breaks every connection that was made with the old one. */
  present(tls: KeyPair): void
  /** In the order of their arrival. Requests of who is cut off are not among them. */
  readonly knocks: readonly Knock[]
  /** Where the homeserver listens, plain HTTP on a Unix socket. */
  leadTo(socketPath: string): void
  open(): void
  close(): void
  /** Breaks the requests of this server whose path begins so (default: all) before anybody sees them. */
  cutOff(serverName: string, path?: string): void
  /** Lets everybody in again. */
  heal(): void
  /** Holds the answer to the next request that matches, until `release`. */
  holdAnswer(matches: (knock: Knock) => boolean): Hold
  /** The same for every request that matches, until `release`. */
  holdAnswers(matches: (knock: Knock) => boolean): Hold
  /** Gives the port back. */
  dispose(): Promise<void>
}

export interface Hold {
  /** The homeserver has answered, and nobody knows yet; how often, where every answer is held. */
  readonly held: () => number
  release(): void
}

interface Waiting {
  readonly once: boolean
  readonly matches: (knock: Knock) => boolean
  readonly held: () => void
  readonly until: Promise<void>
}

/** Takes a port for good, one of 127.0.0.1 that is free unless told which; closed at first. */
export async function makeGate(
  tls: KeyPair,
  { address = '127.0.0.1', port = 0 }: { readonly address?: string; readonly port?: number } = {},
): Promise<Gate> {
  const agent = new Agent({ keepAlive: true })
  const sockets = new Set<Socket>()
  const knocks: Knock[] = []
  const strangers = new Map<string, string>()
  const waiting = new Set<Waiting>()
  let inner = ''
  let isOpen = false

  const server = createServer({ ...tls, keepAliveTimeout: 600_000, requestTimeout: 0 })
  server.on('connection', (socket: Socket) => {
    if (!isOpen) {
      socket.destroy()
      return
    }
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('tlsClientError', () => undefined)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    pass(request, response).catch(() => response.destroy())
  })

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    const { authorization } = request.headers
    const origin = authorization === undefined ? null : (parseXMatrix(authorization)?.origin ?? null)
    const body = await readWhole(request)
    const barred = strangers.get(origin ?? '')
    if (barred !== undefined && request.url?.startsWith(barred) === true) {
      response.destroy()
      return
    }
    const { method = '', url: path = '' } = request
    const host = request.headers.host ?? null
    const sni = sniOf(request.socket)
    const knock: Knock = {
      ...{ at: Date.now(), origin, method, path, host, sni, body },
      status: null,
      answer: null,
    }
    knocks.push(knock)
    const answered = await ask(request, body)
    const answer = await readWhole(answered)
    const holder = [...waiting].find(({ matches }) => matches(knock))
    if (holder !== undefined) {
      if (holder.once) waiting.delete(holder)
      holder.held()
      await holder.until
    }
    knock.status = answered.statusCode ?? 0
    knock.answer = answer
    response.writeHead(knock.status, endToEnd(answered.headers, answer))
    response.end(answer)
  }

  function hold(matches: Waiting['matches'], once: boolean): Hold {
    let held = 0
    let letGo: () => void = () => undefined
    const until = new Promise<void>((resolve) => {
      letGo = resolve
    })
    const one: Waiting = { once, matches, until, held: () => (held += 1) }
    waiting.add(one)
    return {
      held: () => held,
      release() {
        waiting.delete(one)
        letGo()
      },
    }
  }

  async function ask(request: IncomingMessage, body: string): Promise<IncomingMessage> {
    const { method, url: path } = request
    const headers = endToEnd(request.headers, body)
    const asked = httpRequest({ socketPath: inner, method, path, headers, agent })
    asked.end(body)
    const [answered] = (await once(asked, 'response')) as [IncomingMessage]
    return answered
  }

  function breakAll(): void {
    for (const socket of sockets) socket.destroy()
  }

  function close(): void {
    isOpen = false
    breakAll()
    agent.destroy()
  }

  server.listen(port, address)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    knocks,
    present(other) {
      server.setSecureContext(other)
      breakAll()
    },
    leadTo(socketPath) {
      inner = socketPath
    },
    open() {
      isOpen = true
    },
    close,
    cutOff(serverName, path = '/') {
      strangers.set(serverName, path)
    },
    heal() {
      strangers.clear()
    },
    holdAnswer: (matches) => hold(matches, true),
    holdAnswers: (matches) => hold(matches, false),
    async dispose() {
      close()
      const closed = once(server, 'close')
      server.close()
      await closed
    },
  }
}

/** The PDUs of a `/send` request; none for any other. */
export function pdusOf({ method, path, body }: Knock): JsonObject[] {
  if (method !== 'PUT' || !path.startsWith('/_matrix/federation/v1/send/')) return []
  const { pdus } = JSON.parse(body) as { pdus?: unknown }
  return Array.isArray(pdus) ? pdus.filter(isJsonObject) : []
}

/** The event ids that the answer to a `/send` lists; null where there is none. */
export function listedIn({ status, answer }: Knock): string[] | null {
  if (status !== 200 || answer === null) return null
  const { pdus } = JSON.parse(answer) as { pdus?: JsonObject }
  return Object.keys(pdus ?? {})
}

/** What is for the other end and not for this connection (RFC 9110, 7.6.1), with the body's own length. */
function endToEnd(headers: IncomingHttpHeaders, body: string): IncomingHttpHeaders {
  const hop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length'])
  const rest = Object.fromEntries(Object.entries(headers).filter(([name]) => !hop.has(name)))
  return { ...rest, 'content-length': String(Buffer.byteLength(body)) }
}

/** Of the server's end, where Node.js has it and its types do not; false: none. */
function sniOf(socket: Socket): string | null {
  const { servername } = socket as { servername?: string | false }
  return servername === undefined || servername === false ? null : servername
}

async function readWhole(stream: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
