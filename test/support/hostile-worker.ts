/**
 * The other side of `hostile-remote.ts`: TLS servers in a process of their own that answer
 * their first request as they should, so that a connection is there, and each further one with what no server should.
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'
import { answers, ordinary, type Answers } from './hostile-answers.ts'

interface Order {
  tls: { key: string; cert: string }
  /** How many servers of each answer. */
  count: Record<string, number>
}

const tell = (message: object) => process.send?.(message)

/** By the server's number, bytes that it could write. */
const written: number[] = []
/** Ids of the events that are sent: answers may name them. */
let eventIds: string[] = []

async function start(answer: Answers, tls: Order['tls']): Promise<{ n: number; port: number }> {
  const n = written.push(0) - 1
  let asked = 0
  const server = createServer(tls, (socket) => {
    let read = ''
    let busy = false
    const closed = new AbortController()
    socket.once('close', () => closed.abort())
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      read += chunk.toString('latin1')
      const head = read.indexOf('\r\n\r\n')
      const length = Number(/^content-length: (\d+)$/im.exec(read)?.[1] ?? 0)
      if (busy || head < 0 || read.length < head + 4 + length) return
      read = read.slice(head + 4 + length)
      busy = true
      const which = asked++ === 0 ? ordinary : answer
      void send(socket, which, n, closed.signal).finally(() => (busy = false))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { n, port: (server.address() as AddressInfo).port }
}

/** Ends with the answer, or when the other side has had enough. */
async function send(socket: Socket, answer: Answers, n: number, signal: AbortSignal): Promise<void> {
  for await (const piece of answer(eventIds)) {
    if (socket.destroyed) return
    const bytes = Buffer.from(piece as string)
    if (!socket.write(bytes)) await once(socket, 'drain', { signal }).catch(() => undefined)
    if (signal.aborted) return
    written[n] = (written[n] ?? 0) + bytes.length
  }
}

async function startAll({ tls, count }: Order): Promise<void> {
  const started: Record<string, { n: number; port: number }[]> = {}
  for (const [name, times] of Object.entries(count)) {
    const answer = answers[name]
    if (answer === undefined) throw new Error(`no such answer: ${name}`)
    const them: { n: number; port: number }[] = []
    for (let i = 0; i < times; i++) them.push(await start(answer, tls))
    started[name] = them
  }
  tell({ started })
}

process.on('message', (message: Order | { eventIds: string[] } | object) => {
  if ('tls' in message) {
    void startAll(message)
    return
  }
  if ('eventIds' in message) eventIds = message.eventIds
  tell({ written })
})
process.on('disconnect', () => process.exit())
