/**
 * Connects to what it is given, in a network of its own, and says which of the addresses there were connected to.
 *
 * One listener stands on all addresses; it notes to which one a connection came. Each place is tried as a destination, as
 * the address of a name, as a target that was vetted by nobody, and through a proxy. Names are found by a table; a name
 * that is asked for again has another address then, as one that is rebound.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { parseServerName } from '../../src/matrix/ids.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { makeConnections } from '../../src/wire/connections.ts'
import { hostAndPort } from '../../src/allow/ip.ts'
import { makeProxyFor } from '../../src/allow/no-proxy.ts'
import { parseProxy } from '../../src/allow/proxy-url.ts'
import { makeResolveTarget } from '../support/resolve-target.ts'
import type { Target } from '../../src/wire/target.ts'
import { makeVet } from '../../src/allow/vet.ts'
import { noLookup } from '../support/resolve-target.ts'
import { addAddresses, givenToProgram, say } from '../support/own-network.ts'

export interface Given {
  /** What the loopback interface gets. */
  readonly addresses: readonly string[]
  /** What is connected to. */
  readonly places: readonly string[]
  /** An address that is allowed: what a name has at first. */
  readonly open: string
  /** Whether the default lists are in force. */
  readonly vetted: boolean
}

export interface Said {
  /** How many connections came to each address. */
  readonly came: Readonly<Record<string, number>>
  /** What the proxy was asked for. */
  readonly asked: readonly string[]
}

const { addresses, places, open, vetted } = givenToProgram() as Given
addAddresses(addresses)

const came: Record<string, number> = {}
const listener = createServer((socket) => {
  const address = socket.localAddress ?? ''
  came[address] = (came[address] ?? 0) + 1
  socket.on('error', () => undefined).destroy()
})
listener.listen(0, '::')
await once(listener, 'listening')
const { port } = listener.address() as AddressInfo

const asked: string[] = []
const proxy = createServer((socket) => {
  socket.on('error', () => undefined)
  socket.once('data', (chunk) => {
    asked.push(chunk.toString().split(' ')[1] ?? '')
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  })
})
// By an address that the listener does not count: a port of its own.
proxy.listen(0, open)
await once(proxy, 'listening')
const through = parseProxy(`http://${hostAndPort(open, (proxy.address() as AddressInfo).port)}`)

const vet = vetted ? makeVet({}) : () => null
const connections = makeConnections(
  { maxIdleConnections: 0, connectTimeoutMs: 2_000, customCas: [], vet, lookup: noLookup },
  systemClock,
)
const signal = new AbortController().signal
const name = parseServerName(`b.example:${port}`)
if (name === null) throw new Error('not a server name')

async function dial(target: Target): Promise<void> {
  if (name === null) return
  const opened = await connections.open(name, { targets: [target], key: '', leftMs: null }, signal)
  if (opened.kind === 'open') connections.drop(opened.connection)
}

for (const place of places) {
  for (const proxyFor of [makeProxyFor(null, []), makeProxyFor(through, [])]) {
    const destination = parseServerName(hostAndPort(place, port))
    const lookups = [[open, place], [place]]
    const lookup = () => Promise.resolve((lookups.shift() ?? [place]).map((address) => ({ address })))
    const resolve = makeResolveTarget({ lookup, vet, proxyFor })
    for (const asking of [destination, name, name]) {
      const found = asking === null ? null : await resolve(asking)
      if (found?.kind === 'found') for (const target of found.to.targets) await dial(target)
    }
    const about = { port, tlsName: 'b.example', sni: 'b.example', hostHeader: 'b.example' }
    await dial({ ...about, addresses: [place], proxy: proxyFor('b.example', port) })
  }
}
await connections.close()
listener.close()
proxy.close()
say({ came, asked } satisfies Said)
