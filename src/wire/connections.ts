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
import type { Dial, Dialled } from './dial.ts'
import { makeDialAll, type DialAll } from './dial-all.ts'
import { makeHandshakeGate } from './handshake-gate.ts'
import { meter } from './meter.ts'
import type { Meter } from './meter.ts'
import type { IsInsecure } from '../allow/insecure.ts'
import type { VetAddress } from '../allow/vet.ts'
import type { Lookup, WhereTo } from './target.ts'
import { makeWatchOverhead } from './tls-overhead.ts'
import type { WatchedSocket } from './tls-overhead.ts'
import { makeTrust } from './trust.ts'
import { makeTurns } from './turns.ts'
import type { Turns } from './turns.ts'
import { makeWorked } from './worked.ts'

/** The numbers are asked for whenever one is used. */
export interface ConnectionsConfig {
  readonly maxIdleConnections: number
  readonly connectTimeoutMs: number
  /** PEM texts, beside Node's bundled roots and the system's bundle. */
  readonly customCas: readonly string[]
  /** Which addresses may be connected to. */
  readonly vet: VetAddress
  /** Default: every certificate is verified. */
  readonly isInsecure?: IsInsecure
  /** For the name of a proxy. */
  readonly lookup: Lookup
  /** Nothing may be sent to it any more: no connection to it is kept. Default: nobody is. */
  readonly isBlocked?: (destination: ServerName) => boolean
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
  /** What it was made for: `WhereTo.key`. */
  readonly whereKey: string
  /** By the monotonic clock, ms: after `asksAt` it should be asked again where the destination is, after `endsAt` it must be. */
  asksAt: number
  endsAt: number
}

export type Opened =
  /** `wasIdle`: it was there, and may still be used. */
  | { readonly kind: 'open'; readonly connection: Connection; readonly wasIdle: boolean }
  | Extract<Dialled, { kind: 'failed' }>

export interface Connections {
  /** An idle connection to this destination, the caller's until it gives it back. None for which it must be asked again where that is. */
  take(destination: ServerName): Connection | null
  /** Whether there is one, even if it must be asked again where the destination is. */
  isIdle(destination: ServerName): boolean
  /** An idle connection that was made for the same places, or a new one. An idle one that was made for others is retired. `anew`: a new one. */
  open(destination: ServerName, to: WhereTo, signal: AbortSignal, anew?: boolean): Promise<Opened>
  /** How limpet connects to other servers, whatever for. */
  readonly dial: Dial
  /** For a connection whose answer was read to its end. */
  giveBack(connection: Connection): void
  /** For one in any other condition. */
  drop(connection: Connection): void
  /**
   * From now on connections are opened by what the configuration says at this moment, with these authorities beside the bundled ones. None
   * that was opened before is used for another request: idle ones end now, those in use after their request.
   * Throws, with nothing changed, where one of `customCas` is not a PEM certificate.
   */
  renew(customCas: readonly string[]): void
  /** Drops the idle ones of those that are blocked. */
  dropBlocked(): void
  counts(): { readonly idle: number; readonly inUse: number; readonly opening: number }
  /** Destroys all of them, those in use too. */
  close(): Promise<void>
}

const HANDSHAKES_AT_ONCE = 32
const HANDSHAKE_SLOT_MS = 500
// Longer than most servers keep a connection; what the server's `Keep-Alive` header says is honoured.
const KEEP_IDLE_MS = 600_000
// Of the time for which it is known where a destination is: after this part it is asked again ahead.
const ASKS_BEFORE = 0.92
// What is past its time is being asked for again: not for each request anew.
const LEAST_LEFT_MS = 1_000
// With 512 requests in flight no answer of less than 64 KiB gives way.
const MOST_OF_ALL_ANSWERS = 32 * 1024 * 1024
// Answers to a hundred transactions of one PDU. A long one by itself is more: it has its turn alone.
const BYTES_A_TURN = 64 * 1024
// Names and values. As many bytes can be as many headers, each of them some microseconds; proxies put 1–2 KB on an answer.
const MOST_OF_HEADERS = 8 * 1024

/** Throws where one of `customCas` is not a PEM certificate. */
export function makeConnections(config: ConnectionsConfig, clock: Clock): Connections {
  let trust = makeTrust(config.customCas)
  const gate = makeHandshakeGate({ atOnce: HANDSHAKES_AT_ONCE, slotMs: HANDSHAKE_SLOT_MS })
  const watchOverhead = makeWatchOverhead()
  const dial = makeDial({
    ...config,
    get connectTimeoutMs() {
      return config.connectTimeoutMs
    },
    get secureContext() {
      return trust.secureContext
    },
    ...{ gate, watchOverhead, clock },
  })
  const dialAll = makeDialAll(dial)
  const worked = makeWorked()
  const budget = makeAnswerBudget(MOST_OF_ALL_ANSWERS)
  const turns = makeTurns(BYTES_A_TURN)
  // A Map keeps the order of insertion, so its first key is the one unused longest.
  const idle = new Map<ServerName, Connection>()
  const all = new Set<Connection>()
  /** Opened before something else was configured. */
  const outdated = new WeakSet<Connection>()
  let renewals = 0
  const { isBlocked = () => false } = config
  let opening = 0
  let closed = false

  function take(destination: ServerName): Connection | null {
    const connection = idle.get(destination)
    if (connection === undefined || clock.monotonic() >= connection.endsAt) return null
    return takeWhatever(destination)
  }

  function takeWhatever(destination: ServerName): Connection | null {
    const connection = idle.get(destination)
    if (connection === undefined) return null
    idle.delete(destination)
    if (usable(connection)) return connection
    drop(connection)
    return null
  }

  async function open(
    destination: ServerName,
    to: WhereTo,
    signal: AbortSignal,
    anew = false,
  ): Promise<Opened> {
    const since = clock.monotonic()
    const old = anew ? null : takeWhatever(destination)
    if (old?.whereKey === to.key) return { kind: 'open', connection: renewed(old, to, since), wasIdle: true }
    if (old !== null) drop(old)
    const dialled = await dialNow(to, signal)
    if (dialled.kind === 'failed') return dialled
    const { socket, overhead, address, target } = dialled
    worked.note(target, address)
    const { hostHeader } = target
    const metered = { socket, meter: meter(socket, turns), overhead, budget, turns }
    const about = { destination, hostHeader, whereKey: to.key, asksAt: 0, endsAt: 0 }
    const connection = renewed({ ...about, client: clientOver(socket), ...metered }, to, since)
    all.add(connection)
    socket.once('close', () => drop(connection))
    if (closed) drop(connection)
    return { kind: 'open', connection, wasIdle: false }
  }

  /** By what is configured when it ends: before, it may have been to an address, or by an authority, that is allowed no more. */
  async function dialNow({ targets }: WhereTo, signal: AbortSignal): ReturnType<DialAll> {
    for (;;) {
      const before = renewals
      opening++
      const dialled = await dialAll(targets, signal, (target) => worked.of(target)).finally(() => opening--)
      if (before === renewals || signal.aborted) return dialled
      if (dialled.kind === 'open') dialled.socket.destroy()
    }
  }

  /** `since`: when the caller learnt where the destination is. However long dialling took, that gets no older. */
  function renewed(connection: Connection, { leftMs }: WhereTo, since: number): Connection {
    const left = leftMs === null ? Infinity : Math.max(leftMs, LEAST_LEFT_MS)
    connection.asksAt = since + left * ASKS_BEFORE
    connection.endsAt = since + left
    return connection
  }

  function giveBack(connection: Connection): void {
    const isWanted = !closed && config.maxIdleConnections > 0 && !outdated.has(connection)
    if (!isWanted || !usable(connection) || isBlocked(connection.destination)) {
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
    dial,
    giveBack,
    drop,
    renew(customCas) {
      trust = makeTrust(customCas, trust)
      renewals += 1
      for (const connection of [...idle.values()]) drop(connection)
      for (const connection of all) outdated.add(connection)
    },
    dropBlocked() {
      for (const connection of [...idle.values()]) if (isBlocked(connection.destination)) drop(connection)
    },
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
