/**
 * The HTTP server of one listener, before a request has a route: time-outs, connections, and bodies that are not
 * wanted.
 *
 * Promises: no byte of a body is asked for before it is known that the request may have one (`Expect: 100-continue`
 * waits for that too). Of a body that is not read, at most `UNREAD_BYTES` are taken, for at most `UNREAD_MS` after the
 * answer; then the connection is closed. That much is taken because a client that is still writing does not see the
 * answer if its connection is reset.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Visitors } from './visitors.ts'

/** A slow sender of a body that we take holds a connection no longer than this. */
const REQUEST_TIMEOUT_MS = 120_000
const HEADERS_TIMEOUT_MS = 10_000
/** An idle connection that has asked before; the client is told (`Keep-Alive`). */
const KEEP_ALIVE_MS = 72_000
const LOOK_EVERY_MS = 1_000

/** The largest body that is ever taken, and as much again: a client that sends one with a wrong token reads why. */
const UNREAD_BYTES = 32 * 1024 * 1024
const UNREAD_MS = 5_000

/** Requests that wait to be told that they may go on with their body. */
const waiting = new WeakSet<IncomingMessage>()

export function makeDoorServer(handler: RequestListener, visitors: Visitors | null): Server {
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    if (visitors !== null) response.once('close', visitors.asked(request.socket))
    handler(request, response)
  }
  const server = createServer(
    {
      connectionsCheckingInterval: LOOK_EVERY_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    handle,
  )
  server.on('checkContinue', (request, response) => {
    waiting.add(request)
    handle(request, response)
  })
  server.on('checkExpectation', (request, response) => {
    const done = visitors?.asked(request.socket)
    if (done !== undefined) response.once('close', done)
    const body = bodyOf('unsupported Expect header: only 100-continue is supported')
    response.writeHead(417, {
      'content-type': 'application/json',
      'content-length': body.length,
      connection: 'close',
    })
    response.end(body)
  })
  if (visitors === null) return server
  server.on('connection', (socket) => visitors.came(socket))
  const sweeping = setInterval(() => visitors.sweep(), LOOK_EVERY_MS)
  sweeping.unref()
  server.on('close', () => clearInterval(sweeping))
  return server
}

/** Adds to `app` what the promise says. `isKnown`: whether a request had a token that we know. */
export function guardBodies(
  app: FastifyInstance,
  { visitors, isKnown }: { visitors: Visitors | null; isKnown: (request: FastifyRequest) => boolean },
): void {
  // Runs when a request may go on: it has a route, and its caller may ask for it.
  app.addHook('preParsing', (request, reply, _payload, done) => {
    if (isKnown(request)) visitors?.recognise(request.raw.socket)
    const { method } = request
    if (method !== 'GET' && method !== 'HEAD' && waiting.delete(request.raw)) reply.raw.writeContinue()
    done()
  })
  app.addHook('onSend', (request, _reply, payload, done) => {
    if (!request.raw.complete && request.raw.socket instanceof Socket) throwAway(request.raw)
    done(null, payload)
  })
}

function throwAway(unread: IncomingMessage): void {
  const { socket } = unread
  let left = UNREAD_BYTES
  const end = () => socket.destroy()
  const timer = setTimeout(end, UNREAD_MS)
  timer.unref()
  const over = () => clearTimeout(timer)
  unread.on('data', (chunk: Buffer) => {
    left -= chunk.length
    if (left < 0) end()
  })
  unread.once('end', over).once('close', over)
  // The body breaks off when its connection ends: nothing to report.
  unread.on('error', over)
  unread.resume()
}

/** For requests that a framework never sees: what is not HTTP, is too long, or does not come. */
export function answerBroken(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return
  const [status, message] = BROKEN[error.code ?? ''] ?? [
    '400 Bad Request',
    'this is not a valid HTTP request',
  ]
  const body = bodyOf(message)
  const head = `HTTP/1.1 ${status}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`
  socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`)
}

const BROKEN: Readonly<Record<string, [status: string, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not arrive in time'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the headers are too large'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['413 Payload Too Large', 'the chunk extensions are too large'],
}

const bodyOf = (message: string) => JSON.stringify({ errcode: 'M_UNRECOGNIZED', error: message })
