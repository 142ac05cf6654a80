/**
 * This process's connections to other servers: opened, kept while idle, reused.
 *
 * A connection serves one request at a time and belongs to one destination. It never reconnects by itself: it ends
 * with its socket, so nothing can be sent a second time without our knowing. The number of idle connections is limited
 * (65 KB each); the one unused longest goes first.
 */
import type { TLSSocket } from 'node:tls'
import { Client } from 'undici'
import type { Clock } from '../pace/clock.ts'
import type { ServerName } from '../matrix/ids.ts'
import { makeAnswerBudget } from './answer-budget.ts'
import type { AnswerBudget } from './answer-budget.ts'
import { makeDial } from './dial.ts'
import type { Dialled } from './dial.ts'
import { makeHandshakeGate } from './handshake-gate.ts'
import { meter } from './meter.ts'
import type { Meter } from './meter.ts'
import type { IsInsecure } from './insecure.ts'
import type { Lookup, Target, VetAddress } from './target.ts'
import { makeWatchOverhead } from './tls-overhead.ts'
import type { WatchedSocket } from './tls-overhead.ts'
import { makeTrust } from './trust.ts'
import { makeTurns } from './turns.ts'
import type { Turns } from './turns.ts'
import { makeWorked } from './worked.ts'

export interface ConnectionsConfig {
  readonly maxIdleConnections: number
  readonly connectTimeoutMs: number
  /** PEM texts, beside Node's bundled roots and the system's bundle. */
  readonly customCas: readonly string[]
  /** Which addresses may be connected to. Default: every address. */
  readonly vet?: VetAddress
  /** Default: every certificate is verified. */
  readonly isInsecure?: IsInsecure
  /** For the name of a proxy. Default: the system's. */
  readonly lookup?: Lookup
}

export interface Connection {
  readonly destination: ServerName
  readonly hostHeader: string
  readonly client: Client
  readonly socket: TLSSocket
  /** How much may come on it. */
  readonly meter: Meter
  /** How much TLS may bring beside. */
  readonly overhead: WatchedSocket
  /** Shared by the answers on all connections. */
  readonly budget: AnswerBudget
  readonly turns: Turns
}

export type Opened =
  { readonly kind: 'open'; readonly connection: Connection } | Extract<Dialled, { kind: 'failed' }>

export interface Connections {
  /** An idle connection to this destination, the caller's until it gives it back. */
  take(destination: ServerName): Connection | null
  /** Whether there is one. */
  isIdle(destination: ServerName): boolean
  open(destination: ServerName, target: Target, signal: AbortSignal): Promise<Opened>
  /** For a connection whose answer was read to its end. */
  giveBack(connection: Connection): void
  /** For one in any other condition. */
  drop(connection: Connection): void
  counts(): { readonly idle: number; readonly inUse: number; readonly opening: number }
  /** Destroys all of them, those in use too. */
  close(): Promise<void>
}

const HANDSHAKES_AT_ONCE = 32
const HANDSHAKE_SLOT_MS = 500
// Longer than most servers keep a connection; what the server's `Keep-Alive` header says is honoured.
const KEEP_IDLE_MS = 600_000
// With 512 requests in flight no answer of less than 64 KiB gives way.
const MOST_OF_ALL_ANSWERS = 32 * 1024 * 1024
// Answers to a hundred transactions of one PDU. A long one by itself is more: it has its turn alone.
const BYTES_A_TURN = 64 * 1024
// Names and values. As many bytes can be as many headers, each of them some microseconds; proxies put 1–2 KB on an answer.
const MOST_OF_HEADERS = 8 * 1024

/** Throws where one of `customCas` is not a PEM certificate. */
export function makeConnections(config: ConnectionsConfig, clock: Clock): Connections {
  const secureContext = makeTrust(config.customCas)
  const gate = makeHandshakeGate({ atOnce: HANDSHAKES_AT_ONCE, slotMs: HANDSHAKE_SLOT_MS })
  const watchOverhead = makeWatchOverhead()
  const dial = makeDial({ vet: () => null, ...config, secureContext, gate, watchOverhead, clock })
  const worked = makeWorked()
  const budget = makeAnswerBudget(MOST_OF_ALL_ANSWERS)
  const turns = makeTurns(BYTES_A_TURN)
  // A Map keeps the order of insertion, so its first key is the one unused longest.
  const idle = new Map<ServerName, Connection>()
  const all = new Set<Connection>()
  let opening = 0
  let closed = false

  function take(destination: ServerName): Connection | null {
    const connection = idle.get(destination)
    if (connection === undefined) return null
    idle.delete(destination)
    if (usable(connection)) return connection
    drop(connection)
    return null
  }

  async function open(destination: ServerName, target: Target, signal: AbortSignal): Promise<Opened> {
    opening++
    const dialled = await dial(target, signal, worked.of(target)).finally(() => opening--)
    if (dialled.kind === 'failed') return dialled
    const { socket, overhead, address } = dialled
    worked.note(target, address)
    const { hostHeader } = target
    const metered = { socket, meter: meter(socket, turns), overhead, budget, turns }
    const connection = { destination, hostHeader, client: clientOver(socket), ...metered }
    all.add(connection)
    socket.once('close', () => drop(connection))
    if (closed) drop(connection)
    return { kind: 'open', connection }
  }

  function giveBack(connection: Connection): void {
    if (closed || config.maxIdleConnections < 1 || !usable(connection)) {
      drop(connection)
      return
    }
    const other = idle.get(connection.destination)
    if (other !== undefined) drop(other)
    idle.set(connection.destination, connection)
    const oldest = idle.size > config.maxIdleConnections ? idle.values().next().value : undefined
    if (oldest !== undefined) drop(oldest)
  }

  function drop(connection: Connection): void {
    if (!all.delete(connection)) return
    if (idle.get(connection.destination) === connection) idle.delete(connection.destination)
    // Not `close()`: that waits for what will never end. The promise can't fail.
    void connection.client.destroy()
    connection.socket.destroy()
  }

  return {
    take,
    isIdle: (destination) => idle.has(destination),
    open,
    giveBack,
    drop,
    counts: () => ({ idle: idle.size, inUse: all.size - idle.size, opening }),
    async close() {
      closed = true
      const clients = [...all].map(({ client }) => client)
      for (const connection of [...all]) drop(connection)
      await Promise.all(clients.map((client) => client.destroy()))
    },
  }
}

function usable({ client, socket }: Connection): boolean {
  return !client.destroyed && !socket.destroyed && socket.writable
}

/** An undici client that has this socket and will never have another. */
function clientOver(socket: TLSSocket): Client {
  let given = false
  return new Client('https://limpet.invalid', {
    pipelining: 1,
    maxHeaderSize: MOST_OF_HEADERS,
    keepAliveTimeout: KEEP_IDLE_MS,
    keepAliveMaxTimeout: KEEP_IDLE_MS,
    // A request is timed as a whole, by its caller.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect(_options, callback) {
      const again = given
      given = true
      // Not at once: undici looks for what to do next only after its own call has ended.
      queueMicrotask(() => {
        if (again) callback(Object.assign(new Error('the connection is gone'), { code: 'ECONNRESET' }), null)
        else callback(null, socket)
      })
    },
  })
}
