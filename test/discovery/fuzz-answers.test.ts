/**
 * Whatever bytes a web server answers, asking it for `.well-known` ends with a typed outcome, and leaves no connection.
 *
 * Real TLS, so a tenth of the inputs of `fuzz.test.ts`.
 */
import { expect } from 'chai'
import fc from 'fast-check'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { makeConnectTo } from '../../src/discovery/connect-to.ts'
import { makeAskWellKnown } from '../../src/discovery/well-known.ts'
import { parseServerName } from '../../src/matrix/ids.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { until } from '../support/poll.ts'
import { testDial, vetForTests } from './check-case.ts'
import { ADDRESSES, useLoopback } from './loopback.ts'
import { FUZZ_RUNS } from '../support/fuzz-runs.ts'
import { body, cacheHeaders, fuzzing, location } from './odd-input.ts'

const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1')
const statusLine = fc.oneof(
  { weight: 4, arbitrary: fc.constant('HTTP/1.1 200 OK') },
  fc.constantFrom(
    ...['HTTP/1.1 200', 'HTTP/1.0 200 OK', 'HTTP/2 200', 'HTTP/1.1 99999 x', 'HTTP/1.1 -1', 'ICY 200 OK', ''],
    ...[
      'HTTP/1.1 101 Switching',
      'HTTP/1.1 204 No',
      'HTTP/1.1 304 Not',
      'HTTP/1.1 404 No',
      'HTTP/1.1 301 Go',
    ],
  ),
)
const header = fc.oneof(
  fc.constantFrom(
    ...[
      'Transfer-Encoding: chunked',
      'Content-Length: 5',
      'Content-Length: -1',
      'Content-Length: 1e9',
      'Connection: upgrade',
    ],
    ...[
      'Upgrade: h2c',
      'Content-Encoding: gzip',
      'Content-Encoding: br',
      'Trailer: x',
      ': x',
      'x',
      'Set-Cookie: a=b',
      ' y',
    ],
  ),
  cacheHeaders.map(
    ({ cacheControl = '', expires = '' }) => `Cache-Control: ${cacheControl}\r\nExpires: ${expires}`,
  ),
  location.map((text) => `Location: ${Buffer.from(text).toString('latin1')}`),
)
/** As latin1: each character is a byte. */
const answer = fc
  .tuple(
    fc.constantFrom('', '', '', 'HTTP/1.1 100 Continue\r\n\r\n', '\r\n\r\n', '\0'),
    fc
      .tuple(statusLine, fc.array(header, { maxLength: 3 }))
      .map(([first, rest]) => [first, ...rest].join('\r\n')),
    fc.constantFrom('\r\n\r\n', '\r\n\r\n', '\n\n', '\r\n', ''),
    fc.oneof(
      body.map(latin1),
      fc.constantFrom('{"m.server":"b.example"}', '5\r\nhello\r\n0\r\n\r\n', 'fffffffff\r\n', '5;x=y\r\n{}'),
    ),
  )
  .map((parts) => parts.join(''))

describe('fuzzing of answers', function () {
  this.timeout(30 * 60_000)
  const loopback = useLoopback()

  it('end as a name, as none, or as a failure', async () => {
    let text = ''
    let open = 0
    const server = createServer(await loopback().authority.issue({ names: ['a.example'] }), (socket) => {
      open++
      socket.on('error', () => undefined).once('close', () => open--)
      socket.once('data', () => socket.end(text, 'latin1'))
    })
    server.listen(0, ADDRESSES.serves)
    await once(server, 'listening')
    const lookUpHost = (host: string) =>
      Promise.resolve(
        host === 'a.example'
          ? ({ kind: 'found', records: [{ address: ADDRESSES.serves }], ttlMs: 0 } as const)
          : ({ kind: 'none', ttlMs: 0 } as const),
      )
    const ask = makeAskWellKnown({
      connectTo: makeConnectTo({
        lookUpHost,
        vet: vetForTests,
        proxyFor: () => null,
        dial: testDial(loopback()),
      }),
      httpsPort: (server.address() as AddressInfo).port,
      ...{ userAgent: 'limpet/0.0.0', clock: systemClock, limitMs: 5000 },
    })
    const kinds = { delegated: 0, absent: 0, failed: 0 }
    try {
      await fc.assert(
        fc.asyncProperty(answer, async (bytes) => {
          text = bytes
          const outcome = await ask('a.example', new AbortController().signal)
          kinds[outcome.kind]++
          if (outcome.kind === 'delegated') expect(parseServerName(outcome.to)).to.equal(outcome.to)
          if (outcome.kind === 'failed') expect(outcome.why).to.match(/^[^\p{C}\p{Zl}\p{Zp}]{1,500}$/u)
        }),
        fuzzing(Math.ceil(FUZZ_RUNS / 10)),
      )
      await until(() => open === 0, { what: 'the connections to close' })
    } finally {
      server.close()
    }
    expect(kinds.delegated, 'names among them').to.be.above(0)
    expect(kinds.failed, 'failures among them').to.be.above(0)
  })
})
