import { expect } from 'chai'
import { startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { freshDatabase, sharedServer } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { ownRedis, type OwnRedis } from '../support/redis.ts'
import { shortest } from '../support/shortest.ts'
import { makeWorld, OURS, type World } from './world.ts'

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

  const says = async (world: World, part: string) => {
    const { body } = await until(
      async () => {
        const answer = await world.request('/health/ready')
        return answer.status === 503 && JSON.stringify(answer.body).includes(part) && answer
      },
      { what: `not to be ready: ${part}` },
    )
    return (body as { error: string }).error
  }
  const isReady = (world: World) =>
    until(async () => (await world.request('/health/ready')).status === 200, { what: 'to be ready' })

  it('names the queue that answers and accepts no writes, and uses it again once it does', async () => {
    const world = await makeWorld({ settings: { queue: redis.url } })
    closers.push(() => world.stop())
    await world.start()
    await isReady(world)
    await redis.command('REPLICAOF', '127.0.0.1', '1')
    expect(await says(world, 'READONLY')).to.match(/^the queue accepts no writes: READONLY/)
    await redis.command('REPLICAOF', 'NO', 'ONE')
    await isReady(world)
    // A replica that takes writes loses them at its next look at its master.
    await redis.command('CONFIG', 'SET', 'replica-read-only', 'no')
    await redis.command('REPLICAOF', '127.0.0.1', '1')
    expect(await says(world, 'replica')).to.match(
      /^the queue accepts no writes: READONLY this server is a replica/,
    )
    await redis.command('REPLICAOF', 'NO', 'ONE')
    await redis.command('CONFIG', 'SET', 'replica-read-only', 'yes')
    await isReady(world)
  })

  it('names the queue that has no memory left', async () => {
    const world = await makeWorld({ settings: { queue: redis.url } })
    closers.push(() => world.stop())
    await world.start(['ingest'])
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    expect(await says(world, 'OOM')).to.match(/^the queue accepts no writes: OOM command not allowed/)
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await isReady(world)
  })

  it('names the database that answers and accepts no writes', async () => {
    const world = await makeWorld()
    closers.push(() => world.stop())
    await world.start(['ingest'])
    await isReady(world)
    const name = new URL(world.databaseUrl).pathname.slice(1)
    const { url } = await sharedServer()
    const fence = (on: boolean) =>
      query(url, async (client) => {
        await client.query(`alter database ${name} set default_transaction_read_only = ${on ? 'on' : 'off'}`)
        await client.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
      })
    await fence(true)
    expect(await says(world, 'read_only')).to.equal(
      'the database accepts no writes: default_transaction_read_only is on',
    )
    await fence(false)
    await isReady(world)
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
