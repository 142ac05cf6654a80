/**
 * A small internet on loopback, for tests of discovery: web servers for `.well-known` and a homeserver, with TLS and
 * certificates of an authority made here. Real sockets all of them. What DNS says is a map of the test's.
 *
 * All web servers use one port, on addresses that behave differently. So "port 443 of this host is silent" is a name
 * that has the silent address.
 */
import { once } from 'node:events'
import { createServer as createWebServer } from 'node:https'
import type { RequestListener } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createSecureContext } from 'node:tls'
import type { SecureContext } from 'node:tls'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import { makeTrust } from '../../src/wire/trust.ts'
import type { CertificateAuthority, KeyPair, LeafOptions } from '../../src/simulate/fleet/certs.ts'

/** What the addresses do on the port of https. */
export const ADDRESSES = {
  serves: '127.0.0.1',
  serves6: '::1',
  /** Accepts, and says nothing. */
  silent: '127.0.0.2',
  /** Nothing listens there. */
  refused: '127.0.0.3',
  /** May not be connected to; a listener counts who does. */
  forbidden: '127.0.66.1',
  /** Resets the connection once TLS begins. */
  resets: '127.0.0.5',
  /** Speaks HTTP without TLS. */
  plain: '127.0.0.6',
} as const

export interface Loopback {
  readonly authority: CertificateAuthority
  /** Trusts this authority. */
  readonly trust: SecureContext
  readonly httpsPort: number
  /** Connections to the forbidden address. */
  readonly forbidden: () => number
  /** What the web servers do with a request, and with which certificate; to be set by each test. */
  serve: (
    handler: RequestListener,
    certificateFor?: (name: string) => LeafOptions | 'unknown authority',
  ) => void
  /** A homeserver on all addresses but the forbidden one that has a certificate for `name` alone, until the test ends. */
  homeserver: (name: LeafOptions) => Promise<LoopbackHomeserver>
}

export interface LoopbackHomeserver {
  readonly port: number
  /** What the requests had, newest last. */
  readonly seen: { readonly host: string | undefined; readonly sni: string | null }[]
}

/** To be called in a `describe`: its servers are there during the tests. */
export function useLoopback(): () => Loopback {
  let loopback: Loopback | null = null
  const afterAll: (() => void)[] = []
  const afterOne: (() => void)[] = []
  before(async () => {
    loopback = await start(afterAll, afterOne)
  })
  afterEach(() => {
    for (const close of afterOne.splice(0)) close()
  })
  after(() => {
    for (const close of afterAll.splice(0)) close()
  })
  return () => {
    if (loopback === null) throw new Error('no test is running')
    return loopback
  }
}

async function start(afterAll: (() => void)[], afterOne: (() => void)[]): Promise<Loopback> {
  const authority = await makeCertificateAuthority(Date.now())
  const stranger = await makeCertificateAuthority(Date.now(), { name: 'a stranger' })
  const leaves = new Map<string, Promise<KeyPair>>()
  let handler: RequestListener = (_request, response) => response.writeHead(404).end()
  let certificateFor: (name: string) => LeafOptions | 'unknown authority' = (name) => ({ names: [name] })
  let forbidden = 0

  function leaf(options: LeafOptions | 'unknown authority', name: string): Promise<KeyPair> {
    const key = JSON.stringify([options, options === 'unknown authority' ? name : ''])
    const issued =
      leaves.get(key) ??
      (options === 'unknown authority' ? stranger.issue({ names: [name] }) : authority.issue(options))
    leaves.set(key, issued)
    return issued
  }

  function contextFor(name: string, done: (error: Error | null, context?: SecureContext) => void): void {
    leaf(certificateFor(name), name).then(
      (pair) => done(null, createSecureContext(pair)),
      (error: unknown) => done(error as Error),
    )
  }

  const own = await authority.issue()
  const web = () =>
    createWebServer({ ...own, SNICallback: contextFor }, (request, response) => handler(request, response))
  const httpsPort = await listen(web(), ADDRESSES.serves, 0, afterAll)
  await listen(web(), ADDRESSES.serves6, httpsPort, afterAll)
  await listen(
    createTcpServer(() => undefined),
    ADDRESSES.silent,
    httpsPort,
    afterAll,
  )
  await listen(
    createTcpServer(() => (forbidden += 1)),
    ADDRESSES.forbidden,
    httpsPort,
    afterAll,
  )
  const resets = createTcpServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
  await listen(resets, ADDRESSES.resets, httpsPort, afterAll)
  const plain = createTcpServer((socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  )
  await listen(plain, ADDRESSES.plain, httpsPort, afterAll)

  return {
    authority,
    trust: makeTrust([authority.cert]).secureContext,
    httpsPort,
    forbidden: () => forbidden,
    serve(handles, certificates = (name) => ({ names: [name] })) {
      handler = handles
      certificateFor = certificates
    },
    async homeserver(name) {
      const seen: LoopbackHomeserver['seen'] = []
      const pair = await leaf(name, '')
      const server = () =>
        createWebServer(pair, (request, response) => {
          const { servername } = request.socket as unknown as { servername: string | false }
          seen.push({ host: request.headers.host, sni: servername === false ? null : servername })
          response.end('{}')
        })
      const port = await listen(server(), ADDRESSES.serves, 0, afterOne)
      const { serves6, silent, refused, resets, plain } = ADDRESSES
      for (const other of [serves6, silent, refused, resets, plain])
        await listen(server(), other, port, afterOne)
      return { port, seen }
    },
  }
}

async function listen(server: Server, host: string, port: number, closers: (() => void)[]): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
  })
  // A client that does not like the certificate.
  server.on('tlsClientError', () => undefined)
  server.listen(port, host)
  await once(server, 'listening')
  closers.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}
