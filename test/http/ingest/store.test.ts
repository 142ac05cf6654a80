import { createHash } from 'node:crypto'
import { expect } from 'chai'
import type { FastifyInstance } from 'fastify'
import { makeAppend } from '../../../src/ingest/append.ts'
import { openPool } from '../../../src/store/db.ts'
import type { Pool } from '../../../src/store/db.ts'
import { query } from '../../../src/embedded/postmaster.ts'
import { migrate } from '../../../src/store/migrate.ts'
import { freshDatabase, ownServer, sharedServer } from '../../support/postgres.ts'
import { ask, eventItem, makeTestApp, post, postLines, ROOM, SERVER } from './stage.ts'

function appOn(pool: Pool): FastifyInstance {
  const append = makeAppend({
    pool,
    serverName: SERVER,
    maxStickyMs: 3_600_000,
    random: () => 0.5,
    onTaken: () => undefined,
  })
  return makeTestApp({ append, db: pool })
}

describe('ingest with a database', () => {
  let pool: Pool
  let app: FastifyInstance
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url })
    app = appOn(pool)
  })
  afterEach(async () => {
    await app.close()
    await pool.end()
  })

  const get = (url: string) => ask(app, { method: 'GET', url })
  const servers = (change: object, room = ROOM) => ({ type: 'servers', room_id: room, ...change })

  it('takes an import of 1,000 items of which one server name is malformed, and lists that name', async () => {
    const items = Array.from({ length: 999 }, (_, n) =>
      servers({ add: [`s${n}.example`] }, `!r${n}:${SERVER}`),
    )
    items.splice(500, 0, servers({ add: ['good.example', 'not a name!'] }, `!odd:${SERVER}`))
    const { status, body } = await post(app, { items })
    expect(status, JSON.stringify(body)).to.equal(200)
    expect(body).to.deep.include({ accepted: 1000, duplicates: 0, position: 1000 })
    expect(body['ignored']).to.deep.equal([{ index: 500, value: 'not a name!' }])
    expect((await get('/v1/rooms?limit=1')).body['total']).to.equal(1000)
  })

  it('takes EDUs for what of them can be sent, and lists what can not', async () => {
    const receipt = (data: string) => `{"event_ids":["$e"],"data":${data}}`
    const room = `{"m.read":{"@a:${SERVER}":${receipt('{"ts":1}')},"@b:${SERVER}":${receipt('{}')}},"m.read.private":{"@c:${SERVER}":${receipt('{"ts":1}')}}}`
    const edus = [
      `{"type":"edu","edu_type":"m.receipt","rooms":["${ROOM}"],"content":{"${ROOM}":${room}}}`,
      `{"type":"edu","edu_type":"m.typing","rooms":["${ROOM}"],"content":{"room_id":"${ROOM}","user_id":"@a:${SERVER}","typing":true}}`,
      // No number of JSON that others can read.
      `{"type":"edu","edu_type":"m.direct_to_device","destinations":["b.example","no name"],"content":{"sender":"@a:${SERVER}","type":"m.x","message_id":"m1","messages":{"@z:b.example":{"D":{"n":1.5}}}}}`,
      `{"type":"edu","edu_type":"m.direct_to_device","destinations":["b.example"],"content":{"sender":"@a:${SERVER}","type":"m.x","message_id":"m2","messages":{"@z:b.example":{"D":{"n":1}}}}}`,
      `{"type":"edu","edu_type":"org.example.x","rooms":["!unknown:${SERVER}"],"content":{}}`,
    ]
    const { status, body } = await postLines(app, [servers({ set: ['b.example'] }), ...edus])
    expect(status, JSON.stringify(body)).to.equal(200)
    expect(body).to.deep.equal({
      ...{ position: 4, accepted: 6, duplicates: 0, unknown_rooms: [`!unknown:${SERVER}`] },
      ignored: [
        { index: 1, value: `m.receipt @b:${SERVER}` },
        { index: 1, value: `m.receipt @c:${SERVER}` },
        { index: 3, value: 'm.direct_to_device m1' },
        { index: 3, value: 'no name' },
      ],
    })
    const { rows } = await pool.query('select pos::int, type, durable from edus order by pos')
    expect(rows).to.deep.equal([
      { pos: 2, type: 'm.receipt', durable: false },
      { pos: 3, type: 'm.typing', durable: false },
      { pos: 4, type: 'm.direct_to_device', durable: true },
    ])
    expect((await get('/v1/ingest/position')).body).to.include({ position: 4 })
  })

  it('stores no EDU of a request that is refused for another', async () => {
    const edu = { type: 'edu', edu_type: 'm.x', content: {}, destinations: ['b.example'] }
    const { status, body } = await post(app, { items: [edu, { ...edu, key: '' }] })
    expect([status, body['index'], body['path']]).to.deep.equal([400, 1, 'key'])
    expect((await pool.query('select from edus')).rowCount).to.equal(0)
  })

  it('stores nothing of a request of which the last item is wrong', async () => {
    const { status } = await post(app, {
      items: [servers({ set: ['b.example'] }), eventItem(), { type: 'cake' }],
    })
    expect(status).to.equal(400)
    expect((await get('/v1/ingest/position')).body).to.deep.equal({ position: 0, source_token: null })
    expect((await get('/v1/rooms')).body).to.deep.equal({ rooms: [], total: 0 })
  })

  it('counts a repeated event as a duplicate and tells of rooms nobody told it about', async () => {
    const item = eventItem()
    expect((await post(app, { items: [item] })).body).to.deep.include({ accepted: 1, unknown_rooms: [ROOM] })
    expect((await post(app, { items: [item, item] })).body).to.deep.include({
      accepted: 0,
      duplicates: 2,
      position: 1,
    })
  })

  it("keeps each producer's token and takes a request once", async () => {
    const first = { items: [eventItem()], source: 's', source_token: 't1', if_source_token: null }
    expect((await post(app, first)).status).to.equal(200)
    const again = await post(app, first)
    expect(again.status).to.equal(409)
    expect(again.body).to.include({ errcode: 'M_LIMPET_TOKEN_MISMATCH', source_token: 't1' })
    const next = await postLines(app, [eventItem()], '?source=s&if_source_token=t1&source_token=t2')
    expect(next.status).to.equal(200)
    expect((await get('/v1/ingest/position?source=s')).body).to.deep.equal({
      position: 2,
      source_token: 't2',
    })
    expect((await get('/v1/ingest/position')).body).to.deep.equal({ position: 2, source_token: null })
  })

  it('refuses a redacted form that is not of the event, and takes one that is', async () => {
    const item = eventItem()
    await post(app, { items: [servers({ set: ['b.example'] }), item] })
    const other = eventItem()
    const wrong = await post(app, { items: [{ type: 'redact', event_id: item.event_id, pdu: other.pdu }] })
    expect(wrong.status).to.equal(400)
    expect(wrong.body).to.include({ errcode: 'M_INVALID_PARAM', index: 0, path: 'pdu' })
    const unredacted: [object, string][] = [
      [item.pdu, 'content.body'],
      [{ ...item.pdu, content: {}, msc4354_sticky: { duration_ms: 1000 } }, 'msc4354_sticky'],
    ]
    for (const [pdu, what] of unredacted) {
      const refused = await post(app, { items: [{ type: 'redact', event_id: item.event_id, pdu }] })
      expect(refused.status, what).to.equal(400)
      expect(refused.body).to.include({ errcode: 'M_INVALID_PARAM', index: 0, path: 'pdu' })
      expect(refused.body['error'])
        .to.match(/^this is not the redacted form: /)
        .and.to.include(what)
    }
    const shapeless = { ...item.pdu, content: 'text' }
    const refused = await post(app, {
      items: [{ type: 'redact', event_id: item.event_id, pdu: shapeless }],
    })
    expect(refused.status).to.equal(400)
    expect(refused.body).to.include({ errcode: 'M_INVALID_PARAM', index: 0, path: 'pdu.content' })
    const pdu = { ...item.pdu, content: {}, unsigned: { age: 5 } }
    const right = await post(app, { items: [{ type: 'redact', event_id: item.event_id, pdu }] })
    expect(right.status).to.equal(200)
    const odd = await post(app, { items: [{ type: 'redact', event_id: '$unknown', pdu }] })
    expect(odd.body['ignored']).to.deep.equal([{ index: 0, value: '$unknown' }])
  })

  describe('reads back', () => {
    const digest = (...names: string[]) =>
      createHash('sha256').update(names.join('\n')).digest('base64').replace(/=+$/, '')

    it('rooms with their servers, sorted by code point, as numbers and digests', async () => {
      const item = eventItem()
      await post(app, {
        items: [
          servers({ set: ['b.example', 'B.example', 'a-b.example', 'a.example:8448', 'gone.example'] }),
          servers({ remove: ['gone.example'] }),
          item,
          servers({ set: [] }, `!empty:${SERVER}`),
        ],
      })
      const names = ['B.example', 'a-b.example', 'a.example:8448', 'b.example']
      const room = { room_id: ROOM, room_version: '11', head: 3, servers: 4, digest: digest(...names) }
      const empty = {
        room_id: `!empty:${SERVER}`,
        room_version: null,
        head: 0,
        servers: 0,
        digest: digest(''),
      }
      expect((await get('/v1/rooms')).body).to.deep.equal({ rooms: [empty, room], total: 2 })
      expect((await get(`/v1/rooms/${encodeURIComponent(ROOM)}`)).body).to.deep.equal({ ...room, names })
      expect((await get(`/v1/rooms/${ROOM}`)).body).to.have.property('names')
      const none = await get('/v1/rooms/!none')
      expect(none.status).to.equal(404)
      expect(none.body).to.include({ errcode: 'M_NOT_FOUND' })
    })

    it('the same digests from a database that sorts as people do', async () => {
      const server = await sharedServer()
      const name = 'sorts_as_people_do'
      await query(server.url, (client) =>
        client.query(`create database ${name} template template0 locale_provider icu icu_locale 'en-US'`),
      )
      const url = new URL(server.url)
      url.pathname = `/${name}`
      const other = openPool({ url: url.href })
      const otherApp = appOn(other)
      try {
        await migrate(other)
        await post(otherApp, {
          items: [servers({ set: ['b.example', 'B.example', 'a-b.example', 'aa.example'] })],
        })
        const room = await ask(otherApp, { url: `/v1/rooms/${ROOM}` })
        const names = ['B.example', 'a-b.example', 'aa.example', 'b.example']
        expect(room.body).to.deep.include({ names, digest: digest(...names) })
      } finally {
        await otherApp.close()
        await other.end()
      }
    })

    it('rooms page by page, in both directions and by each field', async () => {
      const names = Array.from({ length: 5 }, (_, n) => `!r${n}:${SERVER}`)
      await post(app, { items: names.map((name) => servers({ add: ['b.example'] }, name)) })
      const seen: unknown[] = []
      let from: string | undefined
      do {
        const { body } = await get(`/v1/rooms?limit=2&dir=b${from === undefined ? '' : `&from=${from}`}`)
        expect(body['total']).to.equal(5)
        seen.push(...(body['rooms'] as { room_id: string }[]).map((room) => room.room_id))
        from = body['next_token'] as string | undefined
      } while (from !== undefined)
      expect(seen).to.deep.equal([...names].reverse())
      for (const order of ['room_id', 'room_version', 'head'])
        expect((await get(`/v1/rooms?order_by=${order}`)).body['rooms']).to.have.length(5)
      for (const wrong of ['order_by=servers', 'limit=0', 'limit=1001', 'from=x', 'dir=up'])
        expect((await get(`/v1/rooms?${wrong}`)).body, wrong).to.include({ errcode: 'M_INVALID_PARAM' })
    })
  })
})

describe('ingest while the database is away', () => {
  it('answers 503 and takes requests again by itself when it is back', async () => {
    const server = await ownServer()
    const pool = openPool({ url: server.url })
    const app = appOn(pool)
    try {
      const item = eventItem()
      expect((await post(app, { items: [item] })).status).to.equal(200)
      await server.stop('immediate')
      const away = await post(app, { items: [eventItem()] })
      expect(away.status).to.equal(503)
      expect(away.body).to.include({ errcode: 'M_LIMPET_UNAVAILABLE' })
      expect((await ask(app, { url: '/v1/ingest/position' })).status).to.equal(503)
      await server.start()
      expect((await post(app, { items: [item] })).body).to.include({ duplicates: 1, position: 1 })
    } finally {
      await app.close()
      await pool.end()
      await server.remove()
    }
  })
})
