/** Contract 3, "Exactly once": a producer's token moves in the commit that stores its items. */
import { expect } from 'chai'
import { sourcePosition } from '../../src/store/ingest/read-back.ts'
import { event, makeIngestWorld, purge, redact, request, servers } from './ingest-world.ts'
import type { IngestWorld, RequestOptions } from './ingest-world.ts'

const ELSEWHERE = '!elsewhere:a.example'

describe("a producer's token", () => {
  let world: IngestWorld
  beforeEach(async () => {
    world = await makeIngestWorld()
    await world.take([servers({ set: [] })])
  })
  afterEach(() => world.close())

  const send = (options: RequestOptions, items: readonly object[] = [event()]) =>
    world.append(request(items, options))
  const token = async (source = 'default') => (await sourcePosition(world.pool, source)).sourceToken

  it('is stored, and asked for only by who wants to', async () => {
    expect(await token()).to.equal(null)
    await send({ sourceToken: 'one' })
    expect(await token()).to.equal('one')
    await send({ sourceToken: 'two' })
    await send({})
    await send({ sourceToken: null })
    expect(await token(), 'none given changes nothing').to.equal('two')
  })

  it('lets a request through only where it is what is stored', async () => {
    expect(await send({ ifSourceToken: 't0', sourceToken: 't1' })).to.deep.equal({
      kind: 'token_mismatch',
      sourceToken: null,
    })
    expect(await send({ ifSourceToken: null, sourceToken: 't1' })).to.include({ kind: 'taken' })
    expect(await send({ ifSourceToken: null, sourceToken: 't2' })).to.deep.equal({
      kind: 'token_mismatch',
      sourceToken: 't1',
    })
    expect(await send({ ifSourceToken: 't1', sourceToken: 't2' })).to.include({ kind: 'taken' })
    expect(await token()).to.equal('t2')
    expect(await world.value('select count(*) from events')).to.equal(2)
  })

  it('makes a retry after a lost answer change nothing', async () => {
    const items = [event(), servers({ add: ['b.example'] }), event()]
    const once = { ifSourceToken: null, sourceToken: 't1' }
    expect(await send(once, items)).to.include({ kind: 'taken', position: 4 })
    expect(await send(once, items)).to.deep.equal({ kind: 'token_mismatch', sourceToken: 't1' })
    expect(await world.head()).to.equal(4)
  })

  it('moves with empty items, and with a wholly duplicate request', async () => {
    const told = event()
    await send({ sourceToken: 't1' }, [told])
    expect(await send({ ifSourceToken: 't1', sourceToken: 't2' }, [])).to.include({
      kind: 'taken',
      position: 2,
    })
    expect(await send({ ifSourceToken: 't2', sourceToken: 't3' }, [told])).to.include({
      accepted: 0,
      position: 2,
    })
    expect(await token()).to.equal('t3')
  })

  it("of one source is none of another's", async () => {
    await send({ source: 'a', sourceToken: 't1' })
    await send({ source: 'b', sourceToken: 'u1' })
    expect(await send({ source: 'a', ifSourceToken: 'u1', sourceToken: 't2' })).to.include({
      kind: 'token_mismatch',
    })
    expect(await send({ source: 'a', ifSourceToken: 't1', sourceToken: 't2' })).to.include({ kind: 'taken' })
    expect([await token('a'), await token('b'), await token()]).to.deep.equal(['t2', 'u1', null])
  })

  it('is asked for anew between the requests of one shared commit, and by overlapping processes', async () => {
    const other = await makeIngestWorld({ url: world.url })
    try {
      // Two at once in a process share a commit; two processes wait for each other.
      const results = await Promise.all(
        [world, world, other, other].map((at, n) =>
          at.append(request([event()], { source: 's', ifSourceToken: null, sourceToken: `t${n}` })),
        ),
      )
      expect(results.filter(({ kind }) => kind === 'taken')).to.have.length(1)
      const stored = await token('s')
      for (const [n, result] of results.entries()) {
        if (result.kind === 'taken') expect(stored).to.equal(`t${n}`)
        else expect(result).to.deep.equal({ kind: 'token_mismatch', sourceToken: stored })
      }
      expect(await world.value('select count(*) from events')).to.equal(1)
    } finally {
      await other.close()
    }
  })

  it('goes on from request to request within one shared commit', async () => {
    const results = await Promise.all([
      send({ ifSourceToken: null, sourceToken: 't1' }),
      send({ ifSourceToken: 't1', sourceToken: 't2' }),
      send({ ifSourceToken: 't1', sourceToken: 'never' }),
      send({ ifSourceToken: 't2', sourceToken: 't3' }),
    ])
    expect(results.map(({ kind }) => kind)).to.deep.equal(['taken', 'taken', 'token_mismatch', 'taken'])
    expect(results[2]).to.have.property('sourceToken', 't2')
    expect(await token()).to.equal('t3')
  })

  it('of a request with one item that is refused stays, whatever it shared its commit with', async () => {
    const told = event()
    await send({ sourceToken: 't1' }, [told, event({ room: ELSEWHERE })])
    const wrong = { ...redact(event()), event_id: told.event_id }
    const [refused, next] = await Promise.all([
      send({ ifSourceToken: 't1', sourceToken: 't2' }, [purge(ELSEWHERE), wrong]),
      send({ ifSourceToken: 't1', sourceToken: 't2b' }),
    ])
    expect(refused).to.include({ kind: 'invalid', index: 1 })
    expect(next).to.include({ kind: 'taken' })
    expect(await token()).to.equal('t2b')
    expect(await world.value('select count(*) from events'), 'the purge is undone').to.equal(3)
  })
})
