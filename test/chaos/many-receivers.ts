/**
 * Many remote servers in one process that take whatever comes, note which numbered events each has, and answer some time
 * after the last byte. They keep nothing of what they were sent, so that thousands of large transactions cost them nothing.
 */
import { once } from 'node:events'
import { createServer as createHttpsServer } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'

export interface ManyReceivers {
  names: string[]
  /** Different events that all have together. */
  delivered(): number
  transactions(): number
  close(): Promise<void>
}

/** What an event's content says as its number, in the text of a transaction. */
export const numbered = (n: number): string => `<${n}>`
const NUMBER = /<(\d+)>/g

export async function startManyReceivers(
  tls: KeyPair,
  count: number,
  answerAfterMs: number,
): Promise<ManyReceivers> {
  const has = new Map<string, Set<number>>()
  const listeners: Server[] = []
  let transactions = 0
  const https = createHttpsServer({ ...tls, keepAliveTimeout: 600_000, requestTimeout: 0 })
  https.on('tlsClientError', () => undefined)
  https.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      transactions += 1
      note(request.headers.host ?? '', Buffer.concat(chunks))
      chunks.length = 0
      setTimeout(() => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 })
        response.end('{}')
      }, answerAfterMs).unref()
    })
  })

  function note(name: string, body: Buffer): void {
    const numbers = has.get(name) ?? new Set<number>()
    has.set(name, numbers)
    for (const [, n] of body.toString('latin1').matchAll(NUMBER)) numbers.add(Number(n))
  }

  const names: string[] = []
  for (let i = 0; i < count; i += 1) {
    const listener = createServer((socket) => https.emit('connection', socket))
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    listeners.push(listener)
    names.push(`127.0.0.1:${(listener.address() as AddressInfo).port}`)
  }
  return {
    names,
    delivered: () => [...has.values()].reduce((sum, numbers) => sum + numbers.size, 0),
    transactions: () => transactions,
    close: async () => {
      https.closeAllConnections()
      await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))))
    },
  }
}
