/**
 * The other side of `hostile-remote.ts`: TLS servers on a thread of their own that answer each request with what no server should.
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'
import { parentPort, workerData } from 'node:worker_threads'
import { answers, type Answers } from './hostile-answers.ts'

const { tls, count } = workerData as { tls: { key: string; cert: string }; count: Record<string, number> }
const port = parentPort
if (port === null) throw new Error('this file is a worker')

/** By the server's number, bytes that it could write. */
const written: number[] = []
/** Ids of the events that are sent: answers may name them. */
let eventIds: string[] = []

async function start(answer: Answers): Promise<{ n: number; port: number }> {
  const n = written.push(0) - 1
  const server = createServer(tls, (socket) => {
    let read = ''
    let busy = false
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      read += chunk.toString('latin1')
      const head = read.indexOf('\r\n\r\n')
      const length = Number(/^content-length: (\d+)$/im.exec(read)?.[1] ?? 0)
      if (busy || head < 0 || read.length < head + 4 + length) return
      read = read.slice(head + 4 + length)
      busy = true
      void send(socket, answer, n).finally(() => (busy = false))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { n, port: (server.address() as AddressInfo).port }
}

/** Ends with the answer, or when the other side has had enough. */
async function send(socket: Socket, answer: Answers, n: number): Promise<void> {
  const closed = new AbortController()
  socket.once('close', () => closed.abort())
  for await (const piece of answer(eventIds)) {
    if (socket.destroyed) return
    const bytes = Buffer.from(piece as string)
    if (!socket.write(bytes)) await once(socket, 'drain', { signal: closed.signal }).catch(() => undefined)
    if (socket.destroyed) return
    written[n] = (written[n] ?? 0) + bytes.length
  }
}

port.on('message', (message: { eventIds?: string[] }) => {
  if (message.eventIds !== undefined) eventIds = message.eventIds
  port.postMessage({ written })
})

const started: Record<string, { n: number; port: number }[]> = {}
for (const [name, times] of Object.entries(count)) {
  const answer = answers[name]
  if (answer === undefined) throw new Error(`no such answer: ${name}`)
  started[name] = []
  for (let i = 0; i < times; i++) started[name].push(await start(answer))
}
port.postMessage({ started })
