/** A small HTTP proxy for `CONNECT` on loopback that notes what it is asked for. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'
import type { Setting } from './setting.ts'

export interface ConnectProxyOptions {
  /** Spoken to over TLS. */
  readonly tls?: KeyPair
  readonly host?: string
  /** `user:password`; others get 407. */
  readonly credentials?: string
  /** In the place of what a proxy does: the whole answer. */
  readonly answers?: (socket: Socket) => void
  /** Where connections lead, by the host that is asked for. Default: 127.0.0.1. */
  readonly leads?: Readonly<Record<string, string>>
}

export interface ConnectProxy {
  readonly port: number
  /** What it was asked for: `b.example:8448`. */
  readonly asked: readonly string[]
  readonly hosts: readonly (string | undefined)[]
  readonly open: ReadonlySet<Socket>
}

/** Ends with the test. */
export async function startConnectProxy(
  setting: Setting,
  { tls, host = '127.0.0.1', credentials, answers, leads = {} }: ConnectProxyOptions = {},
): Promise<ConnectProxy> {
  const asked: string[] = []
  const hosts: (string | undefined)[] = []
  const open = new Set<Socket>()
  const keep = (socket: Socket) =>
    open.add(socket.on('error', () => undefined).on('close', () => open.delete(socket)))
  const server = tls === undefined ? createServer() : createTlsServer(tls)
  server.on('connection', keep)
  server.on('connect', (request, socket: Socket) => {
    // An HTTP server leaves its half open.
    socket.on('error', () => undefined).on('end', () => socket.end())
    asked.push(request.url ?? '')
    hosts.push(request.headers.host)
    const wanted = `Basic ${Buffer.from(credentials ?? '').toString('base64')}`
    if (answers !== undefined) answers(socket)
    else if (credentials !== undefined && request.headers['proxy-authorization'] !== wanted)
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n')
    else join(request.url ?? '', socket)
  })

  function join(place: string, socket: Socket): void {
    const { hostname, port } = new URL(`http://${place}`)
    const upstream = connect(Number(port), leads[hostname] ?? '127.0.0.1')
    keep(upstream)
    upstream.on('connect', () => {
      socket.write('HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n')
      socket.pipe(upstream).pipe(socket)
    })
    upstream.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
    upstream.on('close', () => socket.destroy())
    socket.on('close', () => upstream.destroy())
  }

  server.listen(0, host)
  await once(server, 'listening')
  setting.closing(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, asked, hosts, open }
}
