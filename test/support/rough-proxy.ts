/**
 * A TCP proxy on loopback for bad days: it can fall silent without a word and find its voice again, be cut, hold everything
 * back for a while, and be slow.
 *
 * Whatever was connected while it was silent stays dead for good, and nobody is told: as after a firewall has
 * forgotten a connection, or a machine has lost its power and come back.
 */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export interface RoughProxy {
  readonly port: number
  /** Where it leads. Set after the start, so that what stands behind it can be named after the proxy's port. */
  forwardTo(port: number): void
  /** Accepts, keeps what is connected, and forwards nothing: no byte, no end. */
  goSilent(): void
  /** What connects from now on gets through. */
  speak(): void
  /** Ends every connection, and whatever connects from now on at once, until `mend`. */
  cut(): void
  mend(): void
  /** Holds every byte back until `release`; nothing is lost, and its order is kept. */
  hold(): void
  release(): void
  /** From now on every chunk takes so long, ms, each way. */
  slow(delayMs: () => number): void
  close(): Promise<void>
}

interface Pair {
  dead: boolean
  sockets: Socket[]
}

export async function startRoughProxy(): Promise<RoughProxy> {
  const pairs = new Set<Pair>()
  let toPort: number | null = null
  let silent = false
  let isCut = false
  let delay = () => 0
  let held: Promise<void> | null = null
  let letGo: () => void = () => undefined

  const server = createServer((client) => {
    if (isCut) {
      client.destroy()
      return
    }
    const pair: Pair = { dead: silent || toPort === null, sockets: [client] }
    pairs.add(pair)
    if (pair.dead || toPort === null) {
      client.on('data', () => undefined).on('error', () => undefined)
      return
    }
    const upstream = connect(toPort, '127.0.0.1')
    pair.sockets.push(upstream)
    for (const socket of pair.sockets) socket.setNoDelay(true)
    forward(pair, client, upstream)
    forward(pair, upstream, client)
  })

  function forward(pair: Pair, from: Socket, to: Socket): void {
    // One chain a direction keeps the order, whatever each step waits for.
    let last = Promise.resolve()
    const inTurn = (step: () => void) => {
      const due = performance.now() + delay()
      last = last.then(async () => {
        const wait = due - performance.now()
        if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait))
        while (held !== null) await held
        if (!pair.dead) step()
      })
    }
    from.on('data', (chunk) => inTurn(() => to.write(chunk)))
    from.on('error', () => undefined)
    from.on('close', () => inTurn(() => to.destroy()))
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  function endAll(): void {
    for (const pair of pairs) {
      pair.dead = true
      for (const socket of pair.sockets) socket.destroy()
    }
  }

  function release(): void {
    held = null
    letGo()
  }

  return {
    port,
    forwardTo(where) {
      toPort = where
    },
    goSilent() {
      silent = true
      for (const pair of pairs) pair.dead = true
    },
    speak() {
      silent = false
    },
    cut() {
      isCut = true
      endAll()
    },
    mend() {
      isCut = false
    },
    hold() {
      held ??= new Promise((resolve) => {
        letGo = resolve
      })
    },
    release,
    slow(delayMs) {
      delay = delayMs
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      endAll()
      release()
      await closed
    },
  }
}
