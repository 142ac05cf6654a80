/** What the tests of dialling share: a way to dial, and listeners that count what comes to them. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { systemClock } from '../../src/pace/clock.ts'
import { makeDial } from '../../src/wire/dial.ts'
import type { Dial, Dialled, DialNeeds } from '../../src/wire/dial.ts'
import { makeHandshakeGate } from '../../src/wire/handshake-gate.ts'
import type { Target } from '../../src/wire/target.ts'
import { makeWatchOverhead } from '../../src/wire/tls-overhead.ts'
import { makeTrust } from '../../src/wire/trust.ts'
import { until } from '../support/poll.ts'
import { noLookup } from '../support/resolve-target.ts'
import { quietPort } from '../support/port.ts'
import type { Setting } from './setting.ts'

export interface Listener {
  readonly host: string
  readonly port: number
  /** When connections came, `performance.now()`. */
  readonly accepted: readonly number[]
  /** Connections that are open now. */
  readonly open: ReadonlySet<Socket>
}

/** Listens until the test ends; `does` gets each connection. */
export async function listen(
  setting: Setting,
  host: string,
  port: number,
  does: (socket: Socket) => void = () => undefined,
): Promise<Listener> {
  const accepted: number[] = []
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    accepted.push(performance.now())
    open.add(socket)
    socket.on('error', () => undefined).on('close', () => open.delete(socket))
    does(socket)
  })
  server.listen({ host, port, ipv6Only: true })
  await once(server, 'listening')
  setting.closing(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { host, port: (server.address() as AddressInfo).port, accepted, open }
}

/** Reads what comes, so that the end of a connection is noticed, and says nothing. */
export const silent = (socket: Socket): void => void socket.resume()

/** Resets the connection when TLS's hello comes. */
export const resetting = (socket: Socket): void => void socket.once('data', () => socket.resetAndDestroy())

/** Speaks TLS, after `afterMs`. */
export function speaking(tls: TlsOptions, afterMs = 0): (socket: Socket) => void {
  const server = createTlsServer(tls)
  server.on('tlsClientError', () => undefined)
  server.on('secureConnection', (socket) => socket.on('error', () => undefined).resume())
  return (socket) => {
    const speak = () => server.emit('connection', socket)
    if (afterMs === 0) speak()
    else setTimeout(speak, afterMs)
  }
}

/** A port that is free on all of 127.0.0.0/8 and on ::1. */
export const somePort = quietPort

export const targetAt = (addresses: readonly string[], port: number, more: Partial<Target> = {}): Target => ({
  ...{ addresses, port, tlsName: 'b.example', sni: 'b.example', hostHeader: 'b.example' },
  ...more,
})

export interface Dialler {
  readonly dial: Dial
  /** Ends what it opened with the test. */
  readonly open: (target: Target, worked?: string | null, signal?: AbortSignal) => Promise<Dialled>
}

export function makeDialler(setting: Setting, needs: Partial<DialNeeds> = {}): Dialler {
  const dial = makeDial({
    secureContext: makeTrust([setting.authority.cert]).secureContext,
    connectTimeoutMs: 60_000,
    gate: makeHandshakeGate({ atOnce: 32, slotMs: 60_000 }),
    watchOverhead: makeWatchOverhead(),
    clock: systemClock,
    vet: () => null,
    lookup: noLookup,
    ...needs,
  })
  return {
    dial,
    async open(target, worked = null, signal = new AbortController().signal) {
      const dialled = await dial(target, signal, worked)
      if (dialled.kind === 'open') setting.closing(() => dialled.socket.destroy())
      return dialled
    },
  }
}

/** Waits until nothing of ours is open at any of `listeners`. */
export const allClosed = (listeners: readonly Listener[]): Promise<unknown> =>
  until(() => listeners.every(({ open }) => open.size === 0), { what: 'all connections to be closed' })
