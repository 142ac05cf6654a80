/**
 * Many remote homeservers in one process of their own: one TLS listener each, that reads a transaction,
 * counts it and answers at once. Every 64th signature is checked, and that no sender has two transactions
 * unanswered at one server is checked always: a benchmark of something that is wrong measures nothing.
 */
import { createPublicKey, verify } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { parseXMatrix, textToSign } from '../../src/matrix/x-matrix.ts'
import type { KeyPair } from '../../src/simulate/fleet/certs.ts'
import { answerParent, machineMs } from './child.ts'
import {
  makePresenceNotes,
  messagesIn,
  partsIn,
  type PresenceNotes,
  type ReceivedEdu,
} from './edus-received.ts'

export interface ListenOptions {
  tls: KeyPair
  /** The addresses, and how many listeners each has. */
  hosts: string[]
  each: number
  /** The sender's public key, base64. */
  publicKey: string
}

export interface Counts {
  transactions: number
  pdus: number
  edus: number
  /** Of one transaction in 64: parts of their EDUs (`edus-received.ts`). */
  sampled: { transactions: number; parts: number }
  handshakes: number
  /** When the last transaction was there, by the machine's clock, ms. */
  lastAt: number
  faults: string[]
}

/** A transaction that was read while recording. */
export interface Received {
  pdus: number
  sticky: number
  edus: number
  /** Numbers of to-device messages, in order (`edus-received.ts`). */
  messages: number[]
  /** Of the body. */
  bytes: number
  /** By the machine's clock, ms. */
  at: number
}

const CHECK_ONE_IN = 64

const counts: Counts = {
  ...{ transactions: 0, pdus: 0, edus: 0, sampled: { transactions: 0, parts: 0 } },
  ...{ handshakes: 0, lastAt: 0, faults: [] },
}
/** When the event numbered so was there, by the machine's clock, ms. */
let arrivals = new Map<number, number>()
let received: Received[] = []
let recording = false
/** Null: presence is not looked at. */
let presence: PresenceNotes | null = null
const open = new Map<string, number>()
/** Those of this process. */
const own = new Set<string>()
let checkSignature: (request: IncomingMessage, body: string) => boolean

interface Body {
  pdus: { content: { n?: number }; msc4354_sticky?: unknown }[]
  edus?: ReceivedEdu[]
}

answerParent({
  listen,
  counts: () => counts,
  record: (on: boolean) => {
    recording = on
    arrivals = new Map()
    received = []
  },
  arrivals: () => arrivals,
  received: () => received,
  notePresence: () => {
    presence = makePresenceNotes()
  },
  presence: ({ latest, servers }: { latest: Map<string, number>; servers: string[] }) =>
    presence?.seen(
      latest,
      servers.filter((server) => own.has(server)),
    ),
})

async function listen({ tls, hosts, each, publicKey }: ListenOptions): Promise<string[]> {
  const x = Buffer.from(publicKey, 'base64').toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  checkSignature = ({ method = '', url = '', headers }, body) => {
    const parsed = parseXMatrix(headers.authorization ?? '')
    if (parsed === null) return false
    const { origin, destination } = parsed
    if (destination === null || destination !== headers.host) return false
    const text = textToSign({ origin, destination, method, uri: url, contentText: body })
    return verify(null, Buffer.from(text), key, Buffer.from(parsed.signature, 'base64'))
  }
  // One HTTPS server for the sockets of all listeners.
  const https = createHttpsServer({ ...tls, keepAliveTimeout: 600_000, requestTimeout: 0, noDelay: true })
  https.on('secureConnection', () => (counts.handshakes += 1))
  https.on('request', serve)
  const names: string[] = []
  for (const host of hosts) {
    for (let i = 0; i < each; i += 1) {
      const listener = createServer({ noDelay: true }, (socket) => https.emit('connection', socket))
      listener.listen({ port: 0, host, backlog: 16 })
      await once(listener, 'listening')
      names.push(`${host}:${(listener.address() as AddressInfo).port}`)
    }
  }
  for (const name of names) own.add(name)
  return names
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  const name = request.headers.host ?? ''
  const others = open.get(name) ?? 0
  if (others > 0) counts.faults.push(`two transactions unanswered at ${name}`)
  open.set(name, others + 1)
  response.once('close', () => open.set(name, (open.get(name) ?? 1) - 1))
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const text = Buffer.concat(chunks).toString()
    const { pdus, edus = [] } = JSON.parse(text) as Body
    counts.transactions += 1
    counts.pdus += pdus.length
    counts.edus += edus.length
    counts.lastAt = machineMs()
    if (counts.transactions % CHECK_ONE_IN === 0) {
      if (!checkSignature(request, text)) counts.faults.push(`a wrong signature at ${name}`)
      counts.sampled.transactions += 1
      counts.sampled.parts += partsIn(edus)
    }
    if (recording) note(pdus, edus, text)
    presence?.note(name, edus)
    // Without a list: that counts as listing all, and event ids need not be computed here.
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': 2 })
    response.end('{}')
  })
}

function note(pdus: Body['pdus'], edus: readonly ReceivedEdu[], text: string): void {
  const at = counts.lastAt
  for (const { content } of pdus) if (content.n !== undefined) arrivals.set(content.n, at)
  const sticky = pdus.filter((pdu) => 'msc4354_sticky' in pdu).length
  const bytes = Buffer.byteLength(text)
  received.push({ pdus: pdus.length, sticky, edus: edus.length, messages: messagesIn(edus), bytes, at })
}
