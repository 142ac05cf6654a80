/**
 * A small DNS server on loopback, UDP and TCP on one port, for tests and the demo.
 *
 * It answers from a zone that is plain data (`zone.ts`), counts what it was asked, and can be silent, slow, broken or truncated for
 * each name. An answer that is larger than the client takes (512 bytes without EDNS) is truncated, and whole over TCP.
 */
import { createSocket } from 'node:dgram'
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram'
import { once, setMaxListeners } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import packet from 'dns-packet'
import type { Answer, Packet } from 'dns-packet'
import type { Clock } from '../../pace/clock.ts'
import { makeDnsZone, RCODE } from './zone.ts'
import type { DnsZone, ZoneAnswer, ZoneData } from './zone.ts'

export interface DnsServerOptions {
  readonly zone?: ZoneData
  readonly clock: Clock
  /** The address to listen on; default 127.0.0.1. */
  readonly host?: string
  /** Default: one that is free. */
  readonly port?: number
  /** An old server: it answers FORMERR to EDNS, or says nothing at all. */
  readonly edns?: 'formerr' | 'silent'
}

export interface DnsServer {
  readonly port: number
  readonly address: string
  /** `ADDRESS:PORT`, an IPv6 address in brackets. */
  readonly name: string
  readonly zone: Pick<DnsZone, 'set' | 'remove'>
  /** Queries so far: for a name and a type, for a name, or all. */
  asked(name?: string, type?: string): number
  askedOver(transport: 'udp' | 'tcp'): number
  /** May be called more than once. */
  stop(): Promise<void>
}

const PLAIN_UDP_BYTES = 512
const PAIRS_OF_PORTS = 20

type Transport = 'udp' | 'tcp'

export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { clock, host = '127.0.0.1' } = options
  const zone = makeDnsZone(options.zone ?? {})
  const counts = new Map<string, number>()
  const open = new Set<Socket>()
  const stopped = new AbortController()
  // One for each slow answer, and no leak.
  setMaxListeners(0, stopped.signal)
  const { udp, tcp, port } = await listen(host, options.port)

  const countOf = (key: string): number => counts.get(key) ?? 0
  const count = (key: string): void => void counts.set(key, countOf(key) + 1)

  /** The bytes of the answer, later perhaps; null: none. */
  async function answer(bytes: Buffer, transport: Transport): Promise<Buffer | null> {
    const query = decoded(bytes)
    const question = query?.questions?.[0]
    if (query === null || question === undefined || query.type === 'response') return null
    const { name, type } = question
    for (const key of ['', name.toLowerCase(), `${name.toLowerCase()} ${type}`, ` ${transport}`]) count(key)
    const opt = query.additionals?.find((record) => record.type === 'OPT')
    if (opt !== undefined && options.edns === 'silent') return null
    if (opt !== undefined && options.edns === 'formerr') return encoded(query, empty(RCODE.formerr), [], 0)
    const found = zone.answer(name, type)
    const { instead } = found
    if (instead === 'silent') return null
    if (typeof instead === 'object' && instead !== null && 'slowMs' in instead) {
      await clock.sleep(instead.slowMs, stopped.signal)
      if (stopped.signal.aborted) return null
    }
    const extra: Answer[] = opt === undefined ? [] : [{ ...opt, udpPayloadSize: 1232, options: [] }]
    if (instead === 'servfail') return encoded(query, empty(RCODE.servfail), extra, 0)
    if (instead === 'refused') return encoded(query, empty(RCODE.refused), extra, 0)
    const whole = encoded(query, found, extra, packet.AUTHORITATIVE_ANSWER)
    if (transport === 'tcp') return whole
    const room = Math.max(PLAIN_UDP_BYTES, opt?.udpPayloadSize ?? 0)
    return instead === 'truncated' || whole.length > room
      ? encoded(query, empty(RCODE.none), extra, packet.TRUNCATED_RESPONSE)
      : whole
  }

  udp.on('message', (bytes: Buffer, { port: theirs, address }: RemoteInfo) => {
    void answer(bytes, 'udp').then((told) => {
      if (told !== null && !stopped.signal.aborted) udp.send(told, theirs, address)
    })
  })
  // What a client that is gone makes of an answer concerns nobody.
  udp.on('error', () => undefined)
  tcp.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket)).on('error', () => undefined)
    serveStream(socket, (bytes) => answer(bytes, 'tcp'))
  })

  return {
    port,
    address: host,
    name: host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`,
    zone,
    asked: (name = '', type) => countOf(type === undefined ? name : `${name} ${type}`),
    askedOver: (transport) => countOf(` ${transport}`),
    async stop() {
      if (stopped.signal.aborted) return
      stopped.abort()
      for (const socket of open) socket.destroy()
      const closed = [once(udp, 'close'), once(tcp, 'close')]
      udp.close()
      tcp.close()
      await Promise.all(closed)
    },
  }
}

/** One port, for UDP and TCP. */
async function listen(
  host: string,
  port: number | undefined,
): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let tries = 1; ; tries++) {
    const tcp = createServer()
    tcp.listen(port ?? 0, host)
    await once(tcp, 'listening')
    const chosen = (tcp.address() as AddressInfo).port
    const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4')
    try {
      udp.bind(chosen, host)
      await once(udp, 'listening')
      return { udp, tcp, port: chosen }
    } catch (error) {
      // Somebody's outgoing packets have this port; with a port of our choice, the next one does.
      udp.close()
      tcp.close()
      if (port !== undefined || tries === PAIRS_OF_PORTS) throw error
    }
  }
}

/** RFC 1035, 4.2.2: each message has its length before it. */
function serveStream(socket: Socket, answer: (bytes: Buffer) => Promise<Buffer | null>): void {
  let kept = Buffer.alloc(0)
  socket.on('data', (piece: Buffer) => {
    kept = Buffer.concat([kept, piece])
    while (kept.length >= 2 && kept.length >= 2 + kept.readUInt16BE(0)) {
      const length = kept.readUInt16BE(0)
      const bytes = kept.subarray(2, 2 + length)
      kept = kept.subarray(2 + length)
      void answer(bytes).then((told) => {
        if (told === null || socket.destroyed) return
        const before = Buffer.alloc(2)
        before.writeUInt16BE(told.length)
        socket.write(Buffer.concat([before, told]))
      })
    }
  })
}

function decoded(bytes: Buffer): Packet | null {
  try {
    return packet.decode(bytes)
  } catch {
    return null
  }
}

const empty = (rcode: number): ZoneAnswer => ({ rcode, answers: [], authorities: [], instead: null })

function encoded(query: Packet, told: ZoneAnswer, additionals: Answer[], flags: number): Buffer {
  const asked = (query.flags ?? 0) & packet.RECURSION_DESIRED
  return packet.encode({
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: flags | asked | told.rcode,
    questions: query.questions ?? [],
    answers: [...told.answers],
    authorities: [...told.authorities],
    additionals,
  })
}
