/**
 * Answers of ordinary servers, as odd as they come: each must be read, and must not end the use of a connection that can
 * still be used. What bounds hostile answers (`hostile.test.ts`) must leave these alone.
 */
import { expect } from 'chai'
import { until } from '../support/poll.ts'
import { startRawRemote } from './raw-remote.ts'
import type { RawRequest } from './raw-remote.ts'
import { useSetting } from './setting.ts'

const EVENTS = Array.from({ length: 50 }, (_, n) => `$${String(n).padStart(43, 'e')}`)
const LISTED = JSON.stringify({ pdus: Object.fromEntries(EVENTS.map((id) => [id, {}])) })
const LARGEST = 256 * 1024

const head = (...lines: string[]) => ['HTTP/1.1 200 OK', ...lines].join('\r\n') + '\r\n\r\n'
const whole = (body: string, ...lines: string[]) =>
  head(`Content-Length: ${Buffer.byteLength(body)}`, ...lines) + body
const chunksOf = (body: string, size: number) =>
  head('Transfer-Encoding: chunked') +
  (body.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [])
    .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`)
    .join('') +
  '0\r\n\r\n'
const filledTo = (length: number) => {
  const start = `${LISTED.slice(0, -1)},"x":"`
  return `${start}${'x'.repeat(length - start.length - 2)}"}`
}
const cookie = (n: number) => `Set-Cookie: __cf_bm_${n}=${'c'.repeat(180)}; path=/; HttpOnly; Secure`

interface Odd {
  readonly pieces: readonly string[]
  /** The connection is used again. Default true. */
  readonly keeps?: boolean
  /** The server ends the connection after its answer. */
  readonly ends?: boolean
}

const ODD: Readonly<Record<string, Odd>> = {
  'nothing odd': { pieces: [whole(LISTED)] },
  'exactly as large as may be': { pieces: [whole(filledTo(LARGEST))] },
  'exactly as large as may be, in chunks of 4 KiB': { pieces: [chunksOf(filledTo(LARGEST), 4096)] },
  'in chunks of one character': { pieces: [chunksOf(LISTED, 1)] },
  'each byte a record of its own': { pieces: whole(LISTED).match(/[^]/g) ?? [] },
  'trailers and a chunk extension': {
    pieces: [
      chunksOf(LISTED, 500).replace('\r\n{', ';x=1\r\n{').replace(/\r\n$/, 'Server-Timing: x\r\n\r\n'),
    ],
  },
  'HTTP/1.0 until the end': { pieces: [`HTTP/1.0 200 OK\r\n\r\n${LISTED}`], ends: true, keeps: false },
  'HTTP/1.1 until the end': { pieces: [head('Connection: close') + LISTED], ends: true, keeps: false },
  '256 KiB until the end': {
    pieces: [head('Connection: close'), filledTo(LARGEST)],
    ends: true,
    keeps: false,
  },
  'with its length, and the end': { pieces: [whole(LISTED, 'Connection: close')], ends: true, keeps: false },
  'early hints first': {
    pieces: [
      ...Array<string>(3).fill('HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n'),
      whole(LISTED),
    ],
  },
  'space around it': { pieces: [whole(`\r\n\t ${LISTED}\r\n`)] },
  'an empty line behind it': { pieces: [`${whole(LISTED)}\r\n`] },
  'an empty line behind it, later': { pieces: [whole(LISTED), '\r\n'] },
  'six kilobytes of headers': {
    pieces: [whole(LISTED, ...Array.from({ length: 25 }, (_, n) => cookie(n)))],
  },
  'escaped ids': { pieces: [whole(LISTED.replaceAll('$', '\\u0024').replaceAll('e', '\\u0065'))] },
  'the events twice, the last time with all': {
    pieces: [whole(`{"pdus":{},${LISTED.slice(1)}`)],
  },
}

describe('odd answers of ordinary servers', () => {
  const setting = useSetting()

  for (const [what, { pieces, keeps = true, ends = false }] of Object.entries(ODD)) {
    it(`${what}: is read, and the next transaction is too`, async () => {
      const does = ({ socket }: RawRequest) => {
        for (const piece of pieces) socket.write(piece)
        if (ends) socket.end()
      }
      const remote = await startRawRemote(await setting().authority.issue(), does)
      setting().closing(() => remote.close())
      const { send, connections } = setting().sender()
      for (let n = 0; n < 3; n++) {
        const result = await send(remote.serverName, { eventIds: EVENTS })
        expect(result.kind, JSON.stringify(result)).to.equal('answered')
        expect(result).to.have.property('pdus').with.property('size', EVENTS.length)
        await until(() => connections.counts().inUse === 0, { what: 'the connection to be given back' })
      }
      expect(remote.requests).to.have.length(3)
      if (keeps && !what.includes('behind')) expect(remote.connections).to.equal(1)
    })
  }
})
