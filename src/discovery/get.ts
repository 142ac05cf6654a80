/**
 * One GET over a connection of its own, and its answer.
 *
 * got does it, without its own redirects and repetitions. Bytes are counted as they come; nothing is decompressed.
 */
import type { ClientRequest } from 'node:http'
import type { Socket } from 'node:net'
import got from 'got'
import { TOO_MUCH } from '../wire/meter.ts'
import type { DialledAgent } from './agent.ts'
import { MOST_OF_A_BODY } from './read-well-known.ts'
import type { WellKnownAnswer } from './read-well-known.ts'

export type GetAnswer =
  | (WellKnownAnswer & { readonly kind: 'answered'; readonly location: string | undefined })
  | { readonly kind: 'failed'; readonly why: string; readonly arrived: boolean }

const MOST_OF_HEADERS = 8 * 1024
const MOST_IN_ALL = 2 * (MOST_OF_A_BODY + MOST_OF_HEADERS)

/** @throws Error where no answer comes. The agent is the caller's. */
export async function get(
  url: string,
  about: { agent: DialledAgent; headers: Record<string, string>; signal: AbortSignal },
): Promise<GetAnswer> {
  const request = got.stream(url, {
    agent: { https: about.agent },
    headers: { ...about.headers, 'accept-encoding': 'identity' },
    ...{ followRedirect: false, retry: { limit: 0 }, throwHttpErrors: false, decompress: false },
    ...{ maxHeaderSize: MOST_OF_HEADERS, signal: about.signal },
  })
  try {
    return await readAnswer(request)
  } finally {
    request.destroy()
  }
}

type Head = Pick<WellKnownAnswer, 'status' | 'headers'> & { location: string | undefined }

async function readAnswer(request: ReturnType<typeof got.stream>): Promise<GetAnswer> {
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
