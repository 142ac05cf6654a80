import { expect } from 'chai'
import { startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { freshDatabase } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { ownRedis, type OwnRedis } from '../support/redis.ts'
import { shortest } from '../support/shortest.ts'
import { makeWorld, OURS } from './world.ts'

describe('whether a daemon is ready', () => {
  let redis: OwnRedis
  before(async function () {
    redis = await ownRedis(this)
  })
  after(() => redis.remove())
  const closers: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })

  it('names the queue that is away, and takes events all the same', async () => {
    const world = await makeWorld({ settings: { queue: redis.url } })
    closers.push(() => world.stop())
    await world.start(['ingest', 'housekeep'])
    const ready = () => world.request('/health/ready')
    await until(async () => (await ready()).status === 200, { what: 'to be ready' })
    await redis.kill()
    const { body } = await until(
      async () => {
        const answer = await ready()
        // The first ones may be told how the connection broke.
        return answer.status === 503 && JSON.stringify(answer.body).includes('not connected') && answer
      },
      { what: 'not to be ready' },
    )
    expect(body).to.deep.equal({
      errcode: 'M_LIMPET_UNAVAILABLE',
      error: "the queue can't be reached: not connected",
    })
    const taken = await world.ingest([{ type: 'purge', room_id: `!room:${OURS}` }])
    expect(taken).to.include({ accepted: 1 })
    await redis.start()
    await until(async () => (await ready()).status === 200, { what: 'to be ready again' })
  })

  it('names the database that fell silent, within three seconds', async () => {
    const { url } = await freshDatabase()
    const proxy = await startHalfOpenProxy()
    proxy.forwardTo(Number(new URL(url).port))
    const through = new URL(url)
    through.port = String(proxy.port)
    const world = await makeWorld({
      databaseUrl: through.href,
      settings: { queue: redis.url, shutdown_grace_ms: 100 },
    })
    closers.push(
      () => proxy.close(),
      () => world.stop(),
    )
    await world.start(['ingest'])
    proxy.goSilent()
    const told = async () => {
      const { status, body } = await world.request('/health/ready')
      expect([status, body]).to.deep.equal([
        503,
        { errcode: 'M_LIMPET_UNAVAILABLE', error: 'the database: no answer within 2000 ms' },
      ])
    }
    expect(await shortest(3_000, told)).to.be.below(3_000)
  })
})
