/** What a hostile server answers, by name: pieces that are written one after the other until the reader hangs up. */
import { setTimeout as sleep } from 'node:timers/promises'

export type Answers = (
  eventIds: readonly string[],
) => Iterable<string | Buffer> | AsyncIterable<string | Buffer>

const OK = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const CHUNKED = `${OK}Transfer-Encoding: chunked\r\n\r\n`
const PIECE = 65_536

const whole = (body: string, status = '200 OK', headers = '') => [
  `HTTP/1.1 ${status}\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n`,
  body,
]

function* endless(first: string, piece: string): Iterable<string | Buffer> {
  yield first
  const filled = Buffer.from(piece.repeat(Math.ceil(PIECE / piece.length)))
  for (;;) yield filled
}

/** An object of about so many bytes, all of them keys. */
function keys(bytes: number): string {
  const them: string[] = []
  for (let i = 0, length = 12; length < bytes - 16; i++) {
    const one = `"${i.toString(36)}":{}`
    them.push(one)
    length += one.length + 1
  }
  return `{"pdus":{${them.join(',')}}}`
}

const K = 1024
const errorFor =
  (error: string): Answers =>
  (ids) =>
    whole(`{"pdus":{${ids.map((id) => `${JSON.stringify(id)}:{"error":${error}}`).join(',')}}}`)
const MANY_KEYS = keys(4 * K * K)
const KEYS_THAT_FIT = keys(256 * K)
const NESTED = '['.repeat(100_000) + ']'.repeat(100_000)
const NASTY = '\\u0000\\u001b]0;x\\u0007\\u001b[2J\\u202e\\ud800\\r\\n\\u2028'

export const ordinary: Answers = (ids) =>
  whole(JSON.stringify({ pdus: Object.fromEntries(ids.map((id) => [id, {}])) }))

export const answers: Record<string, Answers> = {
  ordinary,
  '4 MiB of keys': () => whole(MANY_KEYS),
  '256 KiB of keys': () => whole(KEYS_THAT_FIT),
  'a nested error': errorFor(NESTED),
  'an error of escapes': errorFor(`"${NASTY.repeat(1000)}"`),
  'a refusal of escapes': () => whole(`{"errcode":"${NASTY}","error":"${NASTY}x"}`, '403 Forbidden'),
  'nested to the end': () => whole('['.repeat(256 * K)),
  'informational answers': () => endless('', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'),
  'eleven informational answers': () => [
    'HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(11),
    ...whole('{"pdus":{}}'),
  ],
  'extensions of a chunk': () => endless(`${CHUNKED}1;`, 'x'),
  'a chunk with an extension': () => endless(CHUNKED, `1;${'x'.repeat(2000)}\r\n \r\n`),
  'chunks of one byte': () => endless(CHUNKED, '1\r\n \r\n'),
  'trailers of spaces': () => endless(`${CHUNKED}0\r\nx:`, ' '),
  trailers: () => endless(`${CHUNKED}0\r\n`, 'a:\r\n'),
  'headers of spaces': () => endless(`${OK}x:`, ' '),
  'one header': () => endless(`${OK}x:`, 'x'),
  headers: () => endless(OK, 'a:\r\n'),
  'odd headers': () => whole('{"pdus":{}}', '200 OK', 'constructor: x\r\n__proto__: x\r\ntoString: x\r\n'),
  'a reason': () => endless('HTTP/1.1 200 ', 'x'),
  'empty lines': () => endless('', '\r\n'),
  'a body without a length': () => endless(`${OK}\r\n`, ' '),
  'an error without a length': () => endless('HTTP/1.1 500 No\r\n\r\n', 'x'),
  'a body in a million pieces': () => endless(`${OK}Content-Length: 900000000\r\n\r\n`, '{"a":'),
  'more than its length': () => endless(`${OK}Content-Length: 11\r\n\r\n{"pdus":{}}`, 'x'),
  'a second answer': () => endless('', whole('{"pdus":{}}').join('')),
  zeros: () => endless('', '\u0000'),

  'slow bytes': async function* () {
    yield `${OK}Content-Length: 1000\r\n\r\n`
    for (;;) {
      yield ' '
      await sleep(50)
    }
  },
  'slow informational answers': async function* () {
    for (;;) {
      yield 'HTTP/1.1 103 Early Hints\r\n\r\n'
      await sleep(1_000)
    }
  },
}
