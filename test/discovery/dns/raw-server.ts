/** What answers DNS queries with any bytes, as many as it likes, also from another port. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import packet from 'dns-packet'
import type { Answer, Packet } from 'dns-packet'

export interface RawQuery {
  readonly bytes: Buffer
  readonly over: 'udp' | 'tcp'
  /** The client's port. */
  readonly from: number
  readonly query: Packet & { id: number; questions: NonNullable<Packet['questions']> }
  /** From the server's own address and port, or from another port. */
  readonly send: (bytes: Buffer, how?: 'own' | 'other port') => void
}

export interface RawServer {
  readonly address: string
  readonly port: number
  stop(): Promise<void>
}

export async function startRawServer(answer: (query: RawQuery) => void): Promise<RawServer> {
  const tcp = createServer()
  tcp.listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  const { port } = tcp.address() as { port: number }
  const own = createSocket('udp4')
  own.bind(port, '127.0.0.1')
  const other = createSocket('udp4')
  other.bind(0, '127.0.0.1')
  await Promise.all([once(own, 'listening'), once(other, 'listening')])
  const decoded = (bytes: Buffer): RawQuery['query'] => {
    const query = packet.decode(bytes)
    return { ...query, id: query.id ?? 0, questions: query.questions ?? [] }
  }
  own.on('message', (bytes, { port: from, address }) => {
    const send: RawQuery['send'] = (told, how = 'own') =>
      (how === 'own' ? own : other).send(told, from, address)
    answer({ bytes, over: 'udp', from, query: decoded(bytes), send })
  })
  tcp.on('connection', (socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (stream: Buffer) => {
      const bytes = stream.subarray(2)
      const send: RawQuery['send'] = (told) => {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(told.length)
        socket.write(Buffer.concat([length, told]))
      }
      answer({ bytes, over: 'tcp', from: socket.remotePort ?? 0, query: decoded(bytes), send })
    })
  })
  return {
    address: '127.0.0.1',
    port,
    async stop() {
      for (const socket of [own, other]) socket.close()
      tcp.close()
      await Promise.all([once(own, 'close'), once(other, 'close')])
    },
  }
}

/** An answer to `query`, with what is given in its place. */
export function answerTo(query: RawQuery['query'], told: Packet & { rcode?: number } = {}): Buffer {
  const { rcode = 0, flags = 0, ...rest } = told
  const { id, questions } = query
  return packet.encode({ type: 'response', id, questions, ...rest, flags: flags | rcode })
}

export const recordA = (name: string, data: string, ttl = 60): Answer => ({ name, type: 'A', ttl, data })
