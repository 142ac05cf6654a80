/**
 * Connects through an HTTP proxy: `CONNECT` (RFC 9110, 9.3.6), then a byte stream to the other side.
 *
 * The proxy is asked for the name, and looks it up (docs/decisions/0023). So the address lists can't be applied to a name
 * here. To an address they are, in whatever spelling: what the proxy's resolver could take for an address must be one. The
 * proxy itself is the operator's choice, and not vetted.
 */
import { isIP } from 'node:net'
import type { Socket } from 'node:net'
import { inDialOrder } from './address-order.ts'
import { explainError } from './explain-error.ts'
import { oneLine } from '../observe/one-line.ts'
import type { Handshake } from './handshake.ts'
import { hostAndPort } from '../allow/ip.ts'
import { lookupInTime } from './lookup-in-time.ts'
import type { Timed } from './own-time.ts'
import type { Proxy } from '../allow/proxy-url.ts'
import { race, STAGGER_MS } from './race.ts'
import type { Attempted } from './race.ts'
import { readHttpHead } from './http-head.ts'
import { makeConnectTcp } from './tcp.ts'
import type { ConnectTcp, TcpConnected, Unconnected } from './tcp.ts'
import type { VetAddress } from '../allow/vet.ts'
import type { Lookup } from './target.ts'
import { unlessAborted } from './unless-aborted.ts'

export interface TunnelNeeds {
  readonly vet: VetAddress
  /** For the proxy's own name. */
  readonly lookup: Lookup
  /** With a proxy that is spoken to over TLS. */
  readonly handshake: Handshake
}

/** The code of whatever goes wrong at a proxy, and not behind it. */
export const AT_PROXY = 'LIMPET_PROXY'
/** The code of a proxy's answer that it got no connection, or does not want one. */
export const BEHIND_PROXY = 'LIMPET_PROXY_ANSWER'

// As `parseServerName`, and the `_` that names in DNS may have.
const NAME = /^[0-9A-Za-z_-]{1,63}(?:\.[0-9A-Za-z_-]{1,63})*$/
const ENDS_IN_NUMBER = /(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)$/
// RFC 6761, 6.3: always loopback, and here that of the proxy.
const LOCALHOST = /(?:^|\.)localhost$/i

export function makeTunnels({ vet, lookup, handshake }: TunnelNeeds): (proxy: Proxy) => ConnectTcp {
  const connectDirectly = makeConnectTcp((address) => (isIP(address) === 0 ? 'not an address' : null))

  return (proxy) =>
    async function connectThroughProxy({ host, port, runner }) {
      const reason = whyNotAsked(host)
      if (reason !== null) return { kind: 'failed', stage: 'address', message: reason, code: null }
      const reached = await reach(proxy, runner)
      if (reached.kind === 'failed') return reached
      const { socket } = reached
      const refused = await ask(proxy, socket, hostAndPort(host, port), runner)
      if (refused === null) return { kind: 'open', socket }
      socket.destroy()
      return refused
    }

  function whyNotAsked(host: string): string | null {
    if (isIP(host) !== 0 || ENDS_IN_NUMBER.test(host)) return vet(host)
    if (LOCALHOST.test(host)) return vet('127.0.0.1') ?? vet('::1')
    return NAME.test(host) ? null : `${JSON.stringify(oneLine(host, 60))} is not a host name`
  }

  /** A connection to the proxy itself. */
  async function reach(proxy: Proxy, runner: Timed): Promise<TcpConnected> {
    let addresses: readonly string[] | null
    try {
      const found = isIP(proxy.host) === 0 ? lookupInTime(lookup, proxy.host, runner.left()) : [proxy.host]
      addresses = await unlessAborted(Promise.resolve(found), runner.signal)
    } catch (error) {
      return atProxy(proxy, explainError(error))
    }
    if (addresses === null || addresses.length === 0)
      return atProxy(proxy, addresses === null ? 'aborted' : 'the name has no address')
    const raced = await race<string, Socket, Unconnected>({
      places: inDialOrder(addresses, null),
      staggerMs: STAGGER_MS,
      signal: runner.signal,
      discard: (socket) => socket.destroy(),
      attempt: (address, inner) =>
        reachAt(proxy, address, {
          signal: inner.signal,
          left: () => runner.left(),
          hold: () => {
            inner.hold()
            runner.hold()
          },
          moved: () => {
            inner.moved()
            runner.moved()
          },
        }),
    })
    if (raced.kind === 'won') return { kind: 'open', socket: raced.value }
    return atProxy(proxy, raced.whys.at(-1)?.message ?? 'aborted')
  }

  async function reachAt(
    proxy: Proxy,
    address: string,
    runner: Timed,
  ): Promise<Attempted<Socket, Unconnected>> {
    const tcp = await connectDirectly({ host: address, port: proxy.port, runner })
    if (tcp.kind === 'failed') return { kind: 'lost', why: tcp }
    if (!proxy.secure) return { kind: 'won', value: tcp.socket }
    const sni = isIP(proxy.host) === 0 ? proxy.host : null
    const how = { tlsName: proxy.host, sni, insecure: false, timeoutMs: runner.left(), runner }
    const tls = await handshake(tcp.socket, how)
    if (tls.kind === 'failed') return { kind: 'lost', why: tls }
    // What the proxy itself may send is not limited.
    tls.overhead.stop()
    return { kind: 'won', value: tls.socket }
  }
}

/** Null: whatever is written now goes to `place`. */
async function ask(proxy: Proxy, socket: Socket, place: string, runner: Timed): Promise<Unconnected | null> {
  const credentials = proxy.authorization === null ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`
  socket.write(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\n${credentials}\r\n`)
  const answer = await readHttpHead(socket, runner.left(), runner.signal)
  if (answer.kind === 'failed') return atProxy(proxy, NO_HEAD[answer.why])
  const [, status, words = ''] =
    /^HTTP\/1\.[01] ([1-9]\d\d)(?: ([^\r\n]*))?(?:\r\n|$)/.exec(answer.head) ?? []
  if (status === undefined) return atProxy(proxy, 'what listens there is not an HTTP proxy')
  if (status === '407')
    return atProxy(
      proxy,
      proxy.authorization === null
        ? 'it wants a user name and a password (407)'
        : 'it does not accept our user name and password (407)',
    )
  if (!status.startsWith('2')) {
    const message = `the proxy ${proxy.label} answered ${oneLine(`${status} ${words}`, 100)}`
    return { kind: 'failed', stage: 'connect', message, code: BEHIND_PROXY }
  }
  // No TLS server speaks first (RFC 8446, 2), so this is not from the other side.
  if (answer.bytesAfter > 0) return atProxy(proxy, `it sent ${answer.bytesAfter} bytes before TLS began`)
  return null
}

const NO_HEAD = {
  closed: 'it closed the connection',
  late: 'no answer in time',
  aborted: 'aborted',
  'too long': 'what listens there is not an HTTP proxy',
}

const atProxy = (proxy: Proxy, why: string): Unconnected => ({
  ...{
    kind: 'failed',
    stage: 'connect',
    message: `proxy ${proxy.label}: ${why}`,
    code: AT_PROXY,
  },
})
