/**
 * Asks a host for its `/.well-known/matrix/server`.
 *
 * Redirects are followed one by one, by us: each hop is judged (`redirect.ts`), then connected to as if it were the
 * first, its addresses vetted at the connection. got does the rest, without its own redirects and repetitions. All of
 * it, lookups and handshakes included, ends after `limitMs`. Bytes are counted as they come; nothing is decompressed.
 *
 * Always: the result is a value, whatever the other side does.
 */
import { setMaxListeners } from 'node:events'
import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import got from 'got'
import type { Clock } from '../pace/clock.ts'
import { within } from '../pace/either-signal.ts'
import { explainError } from '../wire/explain-error.ts'
import { TOO_MUCH } from '../wire/meter.ts'
import { DialledAgent } from './agent.ts'
import type { ConnectTo } from './connect-to.ts'
import { MOST_OF_A_BODY, readWellKnown } from './read-well-known.ts'
import type { WellKnown, WellKnownAnswer } from './read-well-known.ts'
import { firstHop, isRedirect, nextHop } from './redirect.ts'
import type { Hop } from './redirect.ts'

/** `host`: the host of a server name, not a literal. */
export type AskWellKnown = (host: string, signal: AbortSignal) => Promise<WellKnown>

export interface AskWellKnownNeeds {
  readonly connectTo: ConnectTo
  /** The port of https, where a URL names none. */
  readonly httpsPort: number
  readonly userAgent: string
  readonly clock: Clock
  /** For all hops together. Default 10 s. */
  readonly limitMs?: number
}

type Asked =
  | (WellKnownAnswer & { readonly kind: 'answered'; readonly location: string | undefined })
  | { readonly kind: 'failed'; readonly why: string; readonly arrived: boolean }

const MOST_OF_HEADERS = 8 * 1024
/** Of one hop. */
const MOST_IN_ALL = 2 * (MOST_OF_A_BODY + MOST_OF_HEADERS)

export function makeAskWellKnown(needs: AskWellKnownNeeds): AskWellKnown {
  const { connectTo, httpsPort, userAgent, clock, limitMs = 10_000 } = needs

  return async function askWellKnown(host, stop) {
    const first = firstHop(host)
    // For example `xn--a`: a server name, and no host of a URL.
    if (!URL.canParse(first.url)) return { kind: 'failed', arrived: true, why: 'the name cannot be in a URL' }
    const limit = within(stop, limitMs)
    // Each address that is dialled listens to it.
    setMaxListeners(0, limit.signal)
    try {
      return await follow(first, limit.signal, stop)
    } finally {
      limit.forget()
    }
  }

  async function follow(first: Hop, signal: AbortSignal, stop: AbortSignal): Promise<WellKnown> {
    const path = [first]
    for (let hop = first; ;) {
      const asked = await ask(hop, signal)
      if (stop.aborted) return failed(path, 'limpet is stopping', false)
      if (signal.aborted) return failed(path, `no answer within ${limitMs / 1000} s`, false)
      if (asked.kind === 'failed') return failed(path, asked.why, asked.arrived)
      if (!isRedirect(asked.status)) return ended(path, readWellKnown(asked, clock.now()))
      const next = nextHop(asked.location, path)
      if (next.kind === 'refused') return failed(path, next.why, true)
      hop = next.hop
      path.push(hop)
    }
  }

  /** One request, over a connection of its own. */
  async function ask({ url, host, port }: Hop, signal: AbortSignal): Promise<Asked> {
    const refusals: string[] = []
    const agent = new DialledAgent(async () => {
      const connected = await connectTo(host, port ?? httpsPort, signal)
      if (connected.kind === 'failed') refusals.push(connected.message)
      return connected.kind === 'open' ? connected.socket : null
    })
    const request = got.stream(url, {
      agent: { https: agent },
      headers: { 'user-agent': userAgent, 'accept-encoding': 'identity' },
      ...{ followRedirect: false, retry: { limit: 0 }, throwHttpErrors: false, decompress: false },
      ...{ maxHeaderSize: MOST_OF_HEADERS, signal },
    })
    try {
      return await readAnswer(request)
    } catch (error) {
      return { kind: 'failed', why: refusals[0] ?? explainError(error), arrived: false }
    } finally {
      request.destroy()
      agent.destroy()
    }
  }
}

type Head = Pick<WellKnownAnswer, 'status' | 'headers'> & { location: string | undefined }

async function readAnswer(request: ReturnType<typeof got.stream>): Promise<Asked> {
  // Whatever becomes of it later on, an error is never unheard.
  request.on('error', () => undefined)
  request.once('request', (sent: ClientRequest) => sent.once('socket', limitBytes))
  const head = await new Promise<Head>((resolve, reject) => {
    request.once('error', reject)
    request.once(
      'response',
      ({ statusCode, headers }: { statusCode: number; headers: NodeJS.Dict<string> }) => {
        const { 'cache-control': cacheControl, expires, date, age, location } = headers
        resolve({ status: statusCode, headers: { cacheControl, expires, date, age }, location })
      },
    )
  })
  // The body of any other answer says nothing: it is not read.
  if (head.status !== 200) return { kind: 'answered', ...head, body: new Uint8Array() }
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of request as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > MOST_OF_A_BODY) {
      return { kind: 'failed', why: `the body is longer than ${MOST_OF_A_BODY / 1024} KiB`, arrived: true }
    }
    pieces.push(piece)
  }
  return { kind: 'answered', ...head, body: Buffer.concat(pieces) }
}

/** HTTP can carry many bytes beside the answer: informational answers, empty lines, chunk extensions. */
function limitBytes(socket: Socket): void {
  let bytes = 0
  socket.on('data', (piece: Buffer) => {
    bytes += piece.length
    if (bytes <= MOST_IN_ALL) return
    const error = new Error('the server sent more than any answer may have')
    socket.destroy(Object.assign(error, { code: TOO_MUCH }))
  })
}

/** What came of it names the place, where redirects led to another one. */
function ended(path: readonly Hop[], answer: WellKnown): WellKnown {
  const last = path.at(-1)?.url
  if (path.length === 1 || last === undefined) return answer
  return answer.kind === 'failed'
    ? failed(path, answer.why, answer.arrived)
    : { ...answer, from: shortened(last) }
}

function failed(path: readonly Hop[], why: string, arrived: boolean): WellKnown {
  const last = path.at(-1)?.url
  const where = path.length === 1 || last === undefined ? '' : `, after a redirect to ${shortened(last)}`
  return { kind: 'failed', why: `${why}${where}`, arrived }
}

const shortened = (url: string) => (url.length > 120 ? `${url.slice(0, 119)}…` : url)
