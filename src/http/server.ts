/**
 * limpet's own listeners: TCP addresses and Unix sockets, each with what it serves.
 *
 * Promise: after `close` no request is half done. New requests are refused with 503 at once, and those under way end,
 * within `graceMs` at the latest.
 */
import { lstatSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import type { Server } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Listener } from '../config/config.ts'
import type { AppOptions, Phase } from './app.ts'
import { timerMs } from '../pace/clock.ts'
import { makeVisitors } from './visitors.ts'

/** Connections of one process, if it has descriptors enough for them. */
export const MOST_CONNECTIONS = 1000

export type { AppOptions, Phase } from './app.ts'
export type { Readiness } from './health-routes.ts'
export type { IngestService } from './ingest/routes.ts'
export { callerName } from './auth.ts'

export interface HttpOptions extends Omit<AppOptions, 'phase' | 'visitors'> {
  readonly listeners: readonly Listener[]
  /** Connections of all listeners together, at most. */
  readonly mostConnections?: number
  /** Default: `running` until `close`. */
  readonly phase?: () => Phase
}

export interface HttpServer {
  /** Where it listens, in the order of `listeners`: `http://127.0.0.1:8469`, or a socket's path. */
  readonly addresses: readonly string[]
  close(options?: { graceMs?: number }): Promise<void>
}

/** A listener that can't be opened; the message says which and why. */
export class ListenError extends Error {
  override readonly name = 'ListenError'
}

/** Opens all listeners or none. Throws `ListenError`. */
export async function openHttpServer(options: HttpOptions): Promise<HttpServer> {
  let closing = false
  const phase = () => (closing ? 'stopping' : (options.phase?.() ?? 'running'))
  const visitors = makeVisitors({
    most: options.mostConnections ?? MOST_CONNECTIONS,
    now: () => performance.now(),
  })
  const apps: FastifyInstance[] = []
  const addresses: string[] = []
  const close = async ({ graceMs = 10_000 }: { graceMs?: number } = {}) => {
    closing = true
    const cut = setTimeout(() => {
      for (const app of apps) app.server.closeAllConnections()
    }, timerMs(graceMs))
    await Promise.all(apps.map((app) => app.close()))
    clearTimeout(cut)
  }
  try {
    for (const listener of options.listeners) {
      // A process that listens nowhere needs no HTTP server: it is a tenth of all that a process loads.
      const { makeApp } = await import('./app.ts')
      const app = makeApp({ ...options, phase, visitors }, listener.serve)
      apps.push(app)
      addresses.push(await listen(app, listener))
    }
  } catch (error) {
    await close()
    throw error
  }
  return { addresses, close }
}

async function listen(app: FastifyInstance, listener: Listener): Promise<string> {
  if (!('socket' in listener)) {
    const { host, port } = listener
    const shown = host.includes(':') ? `[${host}]` : host
    try {
      await app.listen({ host, port })
    } catch (error) {
      throw new ListenError(`can't listen on ${shown}:${port}: ${whyNot(error)}`, { cause: error })
    }
    const address = app.server.address()
    return `http://${shown}:${typeof address === 'object' && address !== null ? address.port : port}`
  }
  const { socket, mode } = listener
  try {
    await removeStale(socket)
    makeWithMode(app.server, mode)
    await app.listen({ path: socket })
  } catch (error) {
    throw new ListenError(`can't listen on ${socket}: ${whyNot(error)}`, { cause: error })
  }
  return socket
}

/**
 * Has `server` make its socket with `mode`: it is never wider, not for a moment. bind(2) takes the mode from the umask, and `listen`
 * binds before it returns, so that no other file is made under that umask.
 */
function makeWithMode(server: Server, mode: number): void {
  const listenNow = server.listen.bind(server) as (...given: unknown[]) => Server
  server.listen = ((...given: unknown[]) => {
    const before = process.umask(~mode & 0o777)
    try {
      return listenNow(...given)
    } finally {
      process.umask(before)
    }
  }) as Server['listen']
}

/** Takes away the socket of a process that was killed; one on which a process listens, or another kind of file, stays. */
async function removeStale(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(false)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
  if (refused) unlinkSync(path)
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'somebody else listens there; `listen` or --listen names another address',
  EACCES: 'permission denied',
  EADDRNOTAVAIL: 'this machine does not have that address',
  ENOTFOUND: 'this name has no address',
  ENOENT: 'its folder does not exist',
}

function whyNot(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return REASONS[code ?? ''] ?? message
}
