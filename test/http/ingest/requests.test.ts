import { expect } from 'chai'
import type { FastifyInstance } from 'fastify'
import { ask, eventItem, fakeAppend, makeTestApp, post, postLines, ROOM } from './stage.ts'
import type { FakeAppend } from './stage.ts'

const up = (server: string) => ({ type: 'server_up', server })

describe('requests to ingest', () => {
  let app: FastifyInstance
  let fake: FakeAppend
  beforeEach(() => {
    fake = fakeAppend()
    app = makeTestApp({ append: fake.append })
  })
  afterEach(() => app.close())

  it("in JSON bring items and the producer's place in its stream", async () => {
    const { status, body } = await post(app, {
      items: [eventItem(), up('b.example')],
      source: 'rooms-1',
      source_token: 't2',
      if_source_token: 't1',
    })
    expect(status).to.equal(200)
    expect(body).to.deep.equal({ position: 2, accepted: 2, duplicates: 0, ignored: [], unknown_rooms: [] })
    expect(fake.requests[0]).to.include({ source: 'rooms-1', sourceToken: 't2', ifSourceToken: 't1' })
  })

  it('tell "nothing stored yet" from "no condition"', async () => {
    await post(app, { items: [], if_source_token: null })
    await post(app, { items: [] })
    await postLines(app, [], '?if_source_token=&source_token=x')
    expect(fake.requests.map(({ ifSourceToken }) => ifSourceToken)).to.deep.equal([null, undefined, null])
    expect(fake.requests.map(({ source }) => source)).to.deep.equal(['default', 'default', 'default'])
  })

  it('in NDJSON bring an item a line and the rest in the query string', async () => {
    const { status } = await postLines(
      app,
      [up('b'), up('c')],
      '?source=s&source_token=t2&if_source_token=t1',
    )
    expect(status).to.equal(200)
    expect(fake.requests[0]).to.include({ source: 's', sourceToken: 't2', ifSourceToken: 't1' })
    expect(fake.requests[0]?.items).to.deep.equal([up('b'), up('c')])
  })

  it('in NDJSON count lines from 0, empty ones too, in errors and in what was ignored', async () => {
    const bad = await postLines(app, [
      '',
      JSON.stringify(up('b')),
      '  \r',
      '{"type":"purge","room_id":5}',
      '',
    ])
    expect(bad.status).to.equal(400)
    expect(bad.body).to.include({ index: 3, path: 'room_id' })
    const broken = await postLines(app, ['', '{"type":'])
    expect(broken.body).to.include({ errcode: 'M_BAD_JSON', index: 1 })
    fake.answer = {
      kind: 'taken',
      position: 1,
      accepted: 2,
      duplicates: 0,
      ignored: [{ index: 1, value: 'c' }],
      unknownRooms: [ROOM],
    }
    const { body } = await postLines(app, ['', up('b'), '', up('c'), ''])
    expect(body['ignored']).to.deep.equal([{ index: 3, value: 'c' }])
    expect(body['unknown_rooms']).to.deep.equal([ROOM])
    fake.answer = { kind: 'invalid', index: 1, path: 'pdu', message: 'another event' }
    expect((await postLines(app, ['', up('b'), '', up('c')])).body).to.include({ index: 3, path: 'pdu' })
  })

  it('take 1,000 items and refuse 1,001 with 413', async () => {
    const items = Array.from({ length: 1001 }, (_, n) => up(`s${n}`))
    expect((await post(app, { items: items.slice(1) })).status).to.equal(200)
    expect((await postLines(app, [...items.slice(1), '', ''])).status).to.equal(200)
    for (const answer of [await post(app, { items }), await postLines(app, items)]) {
      expect(answer.status).to.equal(413)
      expect(answer.body['errcode']).to.equal('M_TOO_LARGE')
    }
    expect(fake.requests).to.have.length(2)
  })

  it('refuse more than 16 MiB with 413', async () => {
    const padded = (size: number) => `{"items":[${' '.repeat(size - 12)}]}`
    const limit = 16 * 1024 * 1024
    const { status, body } = await post(app, padded(limit + 1))
    expect(status).to.equal(413)
    expect(body['errcode']).to.equal('M_TOO_LARGE')
    expect((await post(app, padded(limit))).status).to.equal(200)
  })

  const broken: [what: string, text: string, errcode: string, more: object][] = [
    ['broken JSON', '{"items":[', 'M_BAD_JSON', {}],
    ['no JSON at all', 'hello', 'M_BAD_JSON', {}],
    ['an empty body', '', 'M_BAD_JSON', {}],
    ['a list in place of an object', '[]', 'M_BAD_JSON', {}],
    ['no items', '{}', 'M_INVALID_PARAM', {}],
    ['items that are no list', '{"items":{}}', 'M_INVALID_PARAM', {}],
    ['an unknown field', '{"items":[],"sorce":"a"}', 'M_INVALID_PARAM', {}],
    ['a duplicate key', '{"items":[],"items":[]}', 'M_BAD_JSON', {}],
    [
      'a duplicate key in an item',
      '{"items":[{"type":"server_up","server":"b","server":"c"}]}',
      'M_BAD_JSON',
      { index: 0, path: 'server' },
    ],
    [
      'a lone surrogate in an item',
      '{"items":[{"type":"server_up","server":"\\ud800"}]}',
      'M_BAD_JSON',
      { index: 0, path: 'server' },
    ],
    ['an impossible source', '{"items":[],"source":"Ä"}', 'M_INVALID_PARAM', {}],
    ['an empty source', '{"items":[],"source":""}', 'M_INVALID_PARAM', {}],
    ['a source of 65 characters', `{"items":[],"source":"${'a'.repeat(65)}"}`, 'M_INVALID_PARAM', {}],
    ['a token that is a number', '{"items":[],"source_token":5}', 'M_INVALID_PARAM', {}],
    ['an empty token', '{"items":[],"source_token":""}', 'M_INVALID_PARAM', {}],
    ['a token with a NUL', '{"items":[],"source_token":"\\u0000"}', 'M_INVALID_PARAM', {}],
  ]
  for (const [what, text, errcode, more] of broken) {
    it(`refuse ${what} with 400, and nothing is taken`, async () => {
      const { status, body } = await post(app, text)
      expect(status).to.equal(400)
      expect(body).to.include({ errcode, ...more })
      expect(body['error']).to.be.a('string')
      expect(fake.requests).to.have.length(0)
    })
  }

  it('refuse bytes that are no UTF-8, an unknown parameter, and one given twice', async () => {
    const bytes = (type: string) =>
      ask(app, {
        method: 'POST',
        url: '/v1/ingest',
        headers: { 'content-type': type },
        payload: Buffer.from([0x7b, 0xff, 0x7d]),
      })
    for (const type of ['application/json', 'application/x-ndjson']) {
      const { status, body } = await bytes(type)
      expect(status).to.equal(400)
      expect(body['errcode']).to.equal('M_BAD_JSON')
    }
    expect((await postLines(app, [], '?sorce=a')).status).to.equal(400)
    expect((await postLines(app, [], '?source=a&source=b')).status).to.equal(400)
  })

  it('refuse in JSON what stands in the query string: it must not be passed over', async () => {
    const url = '/v1/ingest?if_source_token=1'
    const headers = { 'content-type': 'application/json' }
    const { status, body } = await ask(app, { method: 'POST', url, headers, payload: '{"items":[]}' })
    expect(status).to.equal(400)
    expect(body['errcode']).to.equal('M_INVALID_PARAM')
    expect(body['error']).to.match(/^if_source_token: belongs in the JSON body/)
    expect(fake.requests).to.have.length(0)
  })

  it('refuse another content type or encoding with 415', async () => {
    const send = (headers: Record<string, string>) =>
      ask(app, { method: 'POST', url: '/v1/ingest', headers, payload: '{"items":[]}' })
    expect((await send({ 'content-type': 'text/plain' })).status).to.equal(415)
    expect((await send({ 'content-type': 'application/json', 'content-encoding': 'gzip' })).status).to.equal(
      415,
    )
    expect((await send({ 'content-type': 'Application/JSON; charset=utf-8' })).status).to.equal(200)
    expect(fake.requests).to.have.length(1)
  })

  it('take a body whose encoding is identity, however it is written', async () => {
    for (const type of ['application/json', 'application/x-ndjson'])
      for (const encoding of ['identity', 'Identity', 'IDENTITY', ' identity ', 'identity, Identity', '']) {
        const headers = { 'content-type': type, 'content-encoding': encoding }
        const payload = type === 'application/json' ? '{"items":[]}' : ''
        const { status } = await ask(app, { method: 'POST', url: '/v1/ingest', headers, payload })
        expect(status, `${type} ${encoding}`).to.equal(200)
      }
    const gzipped = { 'content-type': 'application/json', 'content-encoding': 'identity, gzip' }
    const { status } = await ask(app, { method: 'POST', url: '/v1/ingest', headers: gzipped, payload: '{}' })
    expect(status).to.equal(415)
  })

  it('answer 409 with the stored token where another one is', async () => {
    fake.answer = { kind: 'token_mismatch', sourceToken: 't7' }
    const { status, body } = await post(app, { items: [], if_source_token: 't1' })
    expect(status).to.equal(409)
    expect(body).to.include({ errcode: 'M_LIMPET_TOKEN_MISMATCH', source_token: 't7' })
    fake.answer = { kind: 'token_mismatch', sourceToken: null }
    expect((await post(app, { items: [], if_source_token: 't1' })).body['source_token']).to.equal(null)
  })

  it('answer 429 with the wait when the database does not keep up', async () => {
    fake.answer = { kind: 'full', retryAfterMs: 1500 }
    const { status, body, headers } = await post(app, { items: [] })
    expect(status).to.equal(429)
    expect(body).to.include({ errcode: 'M_LIMIT_EXCEEDED', retry_after_ms: 1500 })
    expect(headers['retry-after']).to.equal('2')
  })

  it('answer 503 when the database is away, and 500 without details when limpet fails', async () => {
    fake.answer = { kind: 'unavailable', message: 'away' }
    const { status, body } = await post(app, { items: [] })
    expect(status).to.equal(503)
    expect(body['errcode']).to.equal('M_LIMPET_UNAVAILABLE')
    fake.append = () => Promise.reject(new Error('secret detail'))
    const failing = makeTestApp({ append: fake.append })
    const failed = await post(failing, { items: [] })
    expect(failed.status).to.equal(500)
    expect(failed.body['errcode']).to.equal('M_UNKNOWN')
    expect(JSON.stringify(failed.body)).not.to.include('secret')
    await failing.close()
  })

  it('advise that servers are up, with 202', async () => {
    const { status, body } = await post(
      app,
      { servers: ['b.example', 'c.example'] },
      { url: '/v1/ingest/server_up' },
    )
    expect(status).to.equal(202)
    expect(body).to.deep.equal({})
    expect(fake.requests[0]).to.deep.include({
      items: [up('b.example'), up('c.example')],
      sourceToken: undefined,
      ifSourceToken: undefined,
    })
    for (const wrong of [{}, { servers: 'b' }, { servers: [5] }, { servers: [], more: 1 }, []]) {
      expect((await post(app, wrong, { url: '/v1/ingest/server_up' })).status).to.equal(400)
    }
  })

  it('do not hold up the process: others have a turn between slices of a big one', async () => {
    const items = Array.from({ length: 1000 }, () => eventItem())
    let turns = 0
    let counting = true
    const count = () => {
      turns += 1
      if (counting) setImmediate(count)
    }
    setImmediate(count)
    await post(app, { items })
    counting = false
    expect(turns).to.be.at.least(15)
  })
})
