import { expect } from 'chai'
import { makeWorld, OURS, TOKENS, type World } from './world.ts'

const ROOM = `!room:${OURS}`
/** Nobody listens there. */
const DEAD = '127.0.0.1:1'

describe('the metrics of a whole daemon', () => {
  let world: World
  before(async () => {
    world = await makeWorld()
  })
  after(() => world.stop())

  /** Those with a value whose name starts so, by name and labels. */
  async function shown(name: string): Promise<Record<string, number>> {
    const { body } = await world.request('/metrics')
    const lines = String(body).matchAll(/^limpet_(\S+?(?:\{[^}]*\})?) (\S+)$/gm)
    const all = [...lines].map(([, key = '', value]) => [key, Number(value)] as const)
    return Object.fromEntries(all.filter(([key]) => key.startsWith(name)))
  }

  it('count what ingest took, why something was left out, and what a purge gave up', async () => {
    await world.start(['ingest'])
    expect(await shown('given_up')).to.deep.equal({
      'given_up_total{why="purge"}': 0,
      'given_up_total{why="retention"}': 0,
      'given_up_total{why="operator"}': 0,
      'given_up_total{why="edus_too_old"}': 0,
    })
    const { item } = world.event(ROOM)
    await world.ingest([
      { type: 'servers', room_id: ROOM, add: [DEAD, OURS, 'no name', DEAD] },
      item,
      item,
      { type: 'server_up', server: 'stranger.example' },
      { type: 'purge', room_id: `!unknown:${OURS}` },
    ])
    await world.ingest([item])
    expect(await shown('ingest_items_total')).to.deep.equal({
      'ingest_items_total{type="event"}': 1,
      'ingest_items_total{type="servers"}': 1,
      'ingest_items_total{type="redact"}': 0,
      'ingest_items_total{type="purge"}': 1,
      'ingest_items_total{type="erase"}': 0,
      'ingest_items_total{type="server_up"}': 1,
      'ingest_items_total{type="edu"}': 0,
    })
    expect(await shown('ingest_ignored_total')).to.deep.equal({
      'ingest_ignored_total{why="own_name"}': 1,
      'ingest_ignored_total{why="invalid_name"}': 1,
      'ingest_ignored_total{why="no_change"}': 1,
      'ingest_ignored_total{why="unknown"}': 2,
      'ingest_ignored_total{why="purged"}': 0,
      'ingest_ignored_total{why="malformed"}': 0,
      'ingest_ignored_total{why="not_canonical"}': 0,
      'ingest_ignored_total{why="too_large"}': 0,
      'ingest_ignored_total{why="private"}': 0,
    })
    await world.ingest([world.event(ROOM).item, { type: 'purge', room_id: ROOM }])
    expect(await shown('given_up')).to.deep.equal({
      'given_up_total{why="purge"}': 2,
      'given_up_total{why="retention"}': 0,
      'given_up_total{why="operator"}': 0,
      'given_up_total{why="edus_too_old"}': 0,
    })
    const { body } = await world.request('/v1/status', { token: TOKENS.read })
    expect(body).to.include({ position: 5 })
  })

  it('show no count of a sweep in a process that has not swept', async () => {
    expect(await shown('stream_position')).to.deep.equal({})
    expect(await shown('pending_pdus')).to.deep.equal({})
  })
})
