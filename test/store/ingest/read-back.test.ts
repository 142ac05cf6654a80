/** Contract 3, "Read back": what a producer compares its rooms by. Paging and shapes are the routes' tests. */
import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { listRooms, roomByName, sourcePosition } from '../../../src/store/ingest/read-back.ts'
import { event, makeIngestWorld, purge, ROOM, servers } from '../../ingest/ingest-world.ts'
import type { IngestWorld } from '../../ingest/ingest-world.ts'

const digestOf = (names: readonly string[]) =>
  createHash('sha256').update(names.join('\n')).digest('base64').replace(/=+$/, '')

describe('what is read back of a room', () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
  })
  afterEach(() => world.close())

  const room = async (id = ROOM) => {
    const found = await roomByName(world.pool, id)
    if (found === null) throw new Error(`${id} is known`)
    return found
  }

  it('are the servers that are in it now, whatever way they came to be', async () => {
    await world.take([servers({ set: ['c.example', 'a.example', 'b.example'] }), event()])
    expect(await room()).to.deep.equal({
      room_id: ROOM,
      room_version: '11',
      head: 2,
      servers: 3,
      digest: digestOf(['a.example', 'b.example', 'c.example']),
      names: ['a.example', 'b.example', 'c.example'],
    })
    await world.take([
      servers({ remove: ['b.example'], add: ['d.example'] }),
      servers({ add: ['b.example'] }),
    ])
    const there = ['a.example', 'b.example', 'c.example', 'd.example']
    expect(await room()).to.deep.include({ servers: 4, digest: digestOf(there), names: there, head: 2 })
    await world.take([servers({ set: [] })])
    expect(await room()).to.deep.include({ servers: 0, digest: digestOf([]), names: [] })
  })

  it('has the same digest for the same servers, whichever room and order', async () => {
    await world.take([
      servers({ set: ['b.example', 'a.example'] }),
      servers({ add: ['a.example', 'x.example'] }, '!two:a.example'),
      servers({ add: ['b.example'], remove: ['x.example'] }, '!two:a.example'),
    ])
    expect((await room()).digest).to.equal((await room('!two:a.example')).digest)
  })

  it('is nothing for a room that nobody was told of, and empty after a purge', async () => {
    expect(await roomByName(world.pool, ROOM)).to.equal(null)
    await world.take([servers({ set: ['a.example'] }), event(), purge()])
    expect(await room()).to.deep.include({ servers: 0, names: [], digest: digestOf([]), head: 0 })
  })

  it('has no version before its first event', async () => {
    await world.take([servers({ set: [] })])
    expect((await room()).room_version).to.equal(null)
    await world.take([event({ version: '12' })])
    expect((await room()).room_version).to.equal('12')
  })

  it('is the same in the list, which sorts by code point', async () => {
    const rooms = [
      '!b:a.example',
      '!B:a.example',
      '!\u{1f600}:a.example',
      '!\uffee:a.example',
      '!a:a.example',
    ]
    await world.take(rooms.map((id, n) => servers({ set: [`s${n}.example`] }, id)))
    const page = { from: 0, limit: 10, orderBy: 'room_id', dir: 'f' } as const
    const { rows, total } = await listRooms(world.pool, page)
    expect(total).to.equal(5)
    expect(rows.map(({ room_id }) => room_id)).to.deep.equal([
      '!B:a.example',
      '!a:a.example',
      '!b:a.example',
      '!\uffee:a.example',
      '!\u{1f600}:a.example',
    ])
    for (const row of rows) {
      const { names, ...rest } = await room(row.room_id)
      expect(row).to.deep.equal(rest)
      expect(row.digest).to.equal(digestOf(names))
    }
  })

  it('can be many rooms, a thousand a page', async () => {
    for (let part = 0; part < 4; part += 1)
      await world.take(
        Array.from({ length: 1_000 }, (_, n) =>
          servers({ set: [`s${n % 50}.example`, 'b.example'] }, `!r${part * 1_000 + n}:a.example`),
        ),
      )
    const seen = new Set<string>()
    for (let from = 0; from < 4_000; from += 1_000) {
      const { rows, total } = await listRooms(world.pool, {
        from,
        limit: 1_000,
        orderBy: 'room_id',
        dir: 'f',
      })
      expect(total).to.equal(4_000)
      for (const { room_id, servers } of rows) {
        expect(servers).to.equal(2)
        seen.add(room_id)
      }
    }
    expect(seen.size).to.equal(4_000)
  })
})

describe('what is read back of a source', () => {
  it('is its token and the head of the stream, of one moment', async () => {
    const world = await makeIngestWorld()
    expect(await sourcePosition(world.pool, 'a')).to.deep.equal({ position: 0, sourceToken: null })
    const writing = { over: false }
    const reading = (async () => {
      while (!writing.over) {
        const { position, sourceToken } = await sourcePosition(world.pool, 'a')
        expect(sourceToken ?? '0', 'the token says how many were taken').to.equal(String(position))
      }
    })()
    for (let n = 1; n <= 60; n += 1)
      await world.take([servers({ set: [] })], { source: 'a', sourceToken: String(n) })
    writing.over = true
    await reading
    await world.close()
  })
})
