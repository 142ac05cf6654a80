import { expect } from 'chai'
import { readAnswer } from '../../src/wire/answer.ts'
import type { Answer } from '../../src/wire/answer.ts'

const whole: Answer = {
  ending: 'whole',
  handed: true,
  answerBegan: true,
  status: 200,
  ...{ retryAfter: undefined, server: undefined },
  body: Buffer.from('{"pdus":{}}'),
  error: null,
}
const SENT = ['$a', '$b', '$c', '$d']
const read = ({ body, ...over }: Partial<Omit<Answer, 'body'>> & { body?: string }, sent = SENT) => {
  const bytes = body === undefined ? whole.body : Buffer.from(body)
  return readAnswer({ ...whole, ...over, body: bytes }, Date.UTC(2026, 0, 1), sent)
}

describe('what an answer means', () => {
  it('an error for a PDU is kept on one line, of reasonable length', () => {
    const error = `no\u0000pe\r\n${'x'.repeat(1000)}`
    const result = read({ body: JSON.stringify({ pdus: { $a: { error }, $b: {}, $c: null, $d: [] } }) })
    const pdus = result.kind === 'answered' ? result.pdus : null
    expect(pdus?.get('$a')?.error).to.match(/^no pe x+…$/)
    expect(pdus?.get('$a')?.error).to.have.length(500)
    expect(pdus?.get('$b')).to.deep.equal({ error: null })
  })

  it('an entry that is no object is an error: nobody can tell what became of that PDU', () => {
    const result = read({ body: '{"pdus":{"$a":null,"$b":[],"$c":"no","$d":7}}' })
    const pdus = result.kind === 'answered' ? result.pdus : null
    for (const id of SENT) expect(pdus?.get(id), id).to.deep.equal({ error: 'an entry that is no object' })
  })

  it('an error that is no string is an error all the same', () => {
    const result = read({ body: '{"pdus":{"$a":{"error":{"errcode":"M_X"}}}}' })
    const pdus = result.kind === 'answered' ? result.pdus : null
    expect(pdus?.get('$a')).to.deep.equal({ error: 'an error that is not a text' })
  })

  const odd: [string, string][] = [
    ['200,000 nested arrays', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['60,000 nested objects', '{"a":'.repeat(30_000) + '1' + '}'.repeat(30_000)],
    ['a number', '1e999'],
    ['false', 'false'],
    ['an object with toJSON and toString', '{"toJSON":1,"toString":2,"__proto__":{"error":null}}'],
  ]
  for (const [what, error] of odd) {
    it(`an error that is ${what} is an error of a few words`, () => {
      const result = read({ body: `{"pdus":{"$a":{"error":${error}}}}` })
      const pdus = result.kind === 'answered' ? result.pdus : null
      expect(pdus?.get('$a')).to.deep.equal({ error: 'an error that is not a text' })
    })
  }

  it('what it says of others is not read', () => {
    const result = read({ body: '{"pdus":{"$a":{},"$other":{"error":"x"},"__proto__":{},"constructor":{}}}' })
    const pdus = result.kind === 'answered' ? result.pdus : null
    expect([...(pdus?.keys() ?? [])]).to.deep.equal(['$a'])
    expect(read({ body: '{"__proto__":{"pdus":{"$a":{"error":"x"}}}}' })).to.deep.equal({
      kind: 'answered',
      pdus: null,
    })
    expect(read({ body: '{"pdus":{"$a":{"__proto__":{"error":"x"}}}}' })).to.have.deep.property(
      'pdus',
      new Map([['$a', { error: null }]]),
    )
  })

  it('no text of it steers a terminal, a log or the direction of writing, or is refused by PostgreSQL', () => {
    const nasty = 'a\\u0000b\\u001b[31mc\\u202ed\\ud800e\\u2028f\\u0085g\\r\\nh\\u200bi'
    const clean = 'a b [31mc d e f g h i'
    const listed = read({ body: `{"pdus":{"$a":{"error":"${nasty}"}}}` })
    expect(listed.kind === 'answered' && listed.pdus?.get('$a')?.error).to.equal(clean)
    const refused = read({ status: 403, body: `{"errcode":"${nasty}","error":"${nasty}"}` })
    expect(refused).to.include({ errcode: clean, message: `answered 403 ${clean}: ${clean}` })
  })

  it('nesting as deep as an answer is long is JSON like any other', () => {
    const deep = '['.repeat(130_000) + ']'.repeat(130_000)
    expect(read({ body: `{"x":${deep},"pdus":{"$a":{}}}` })).to.include({ kind: 'answered' })
    expect(read({ body: '['.repeat(262_144) })).to.include({ kind: 'failed', stage: 'protocol' })
    expect(read({ body: '{"x":'.repeat(50_000) })).to.include({ kind: 'failed', stage: 'protocol' })
    expect(read({ status: 500, body: '['.repeat(65_536) })).to.include({ message: 'answered 500' })
  })

  for (const pdus of ['null', '[]', '"no"', '7']) {
    it(`pdus: ${pdus} lists nothing`, () => {
      expect(read({ body: `{"pdus":${pdus}}` })).to.deep.equal({ kind: 'answered', pdus: null })
    })
  }

  it('an event id named __proto__ is an event id', () => {
    const result = read({ body: '{"pdus":{"__proto__":{"error":"x"}}}' }, ['__proto__'])
    expect(result.kind === 'answered' && result.pdus?.get('__proto__')).to.deep.equal({ error: 'x' })
  })

  it('only 429 and 503 are asked how long to wait', () => {
    for (const [status, wait] of [
      [429, 7000],
      [503, 7000],
      [500, null],
      [301, null],
    ] as const) {
      expect(read({ status, retryAfter: '7', body: '' })).to.include({ status, retryAfterMs: wait })
    }
  })

  it('an error of any form keeps its status, and its errcode where it has one', () => {
    expect(read({ status: 403, body: '{"errcode":"M_FORBIDDEN","error":"Go\\naway"}' })).to.include({
      stage: 'http',
      errcode: 'M_FORBIDDEN',
      message: 'answered 403 M_FORBIDDEN: Go away',
    })
    expect(read({ status: 403, body: '{"errcode":7,"error":["x"]}' })).to.include({
      errcode: null,
      message: 'answered 403',
    })
    expect(read({ status: 502, body: '<html>' })).to.include({ errcode: null, message: 'answered 502' })
  })

  const pages: [string, Parameters<typeof read>[0], string][] = [
    [
      'a page of a CDN',
      {
        status: 520,
        server: 'cloudflare',
        body: '<!DOCTYPE html><html><head><title>Error 520</title><style>p{a:b}</style></head><p>Web server is <b>returning</b> an error</p>',
      },
      'answered 520 (server: cloudflare): Error 520 Web server is returning an error',
    ],
    [
      'plain words',
      { status: 522, server: 'cloudflare', body: 'error code: 522\n' },
      'answered 522 (server: cloudflare): error code: 522',
    ],
    ['a comment that does not end', { status: 403, body: '<!-- <b>no' }, 'answered 403'],
    ['a script that does not end', { status: 403, body: '<p>no<script>yes' }, 'answered 403: no'],
    ['nothing', { status: 404, server: 'nginx/1.24\r\nx', body: '' }, 'answered 404 (server: nginx/1.24 x)'],
    [
      'a Matrix error, which is the homeserver’s own',
      { status: 403, server: 'nginx', body: '{"errcode":"M_FORBIDDEN"}' },
      'answered 403 M_FORBIDDEN',
    ],
    ['JSON that is no object', { status: 500, body: '["no"]' }, 'answered 500: ["no"]'],
  ]
  for (const [what, given, message] of pages)
    it(`an answer that is ${what} says: ${message}`, () =>
      expect(read(given)).to.include({ stage: 'http', message }))

  it('words of any text are few, and found at once', () => {
    for (const body of [
      '<'.repeat(65_536),
      '<!--'.repeat(16_000),
      '<script'.repeat(9_000),
      '<p>x'.repeat(16_000),
    ]) {
      const began = process.cpuUsage()
      const { message } = read({ status: 500, body }) as { message: string }
      expect(message.length).to.be.at.most(200)
      expect(process.cpuUsage(began).user / 1_000, 'ms').to.be.below(50)
    }
  })

  it('whether it was handed over is passed on, never guessed', () => {
    for (const handed of [true, false]) {
      for (const ending of ['timeout', 'aborted', 'not held', 'error', 'too large', 'given up'] as const) {
        expect(read({ ending, handed, status: null })).to.include({ kind: 'failed', handed })
      }
    }
  })
})
