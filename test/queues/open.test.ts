/** Opening a backend: what is refused, with which words, and what a silent server costs. */
import { expect } from 'chai'
import { pino } from 'pino'
import type { Backend, QueueConfig } from '../../queues/backend.ts'
import { openBackend } from '../../queues/open-backend.ts'
import { QueueError } from '../../queues/queue-error.ts'
import { openQueues, type Queues } from '../../queues/queues.ts'
import { quietPort } from '../support/port.ts'
import { type HalfOpenProxy, startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { until } from '../support/poll.ts'
import { freshDatabase } from '../support/postgres.ts'
import { ownRedis, redisCluster, sharedRedis } from '../support/redis.ts'
import { shortest } from '../support/shortest.ts'
import { BACKENDS } from './places.ts'

const log = pino({ level: 'silent' })

async function refusal(work: Promise<unknown>): Promise<QueueError> {
  const error = await work.then(
    () => new Error('it was not refused'),
    (reason: unknown) => reason,
  )
  if (error instanceof QueueError) return error
  throw error
}

describe('opening the queues', () => {
  const open: Backend[] = []
  const proxies: HalfOpenProxy[] = []
  afterEach(async () => {
    for (const backend of open.splice(0)) await backend.close()
    for (const proxy of proxies.splice(0)) await proxy.close()
  })
  const openOne = async (config: QueueConfig) => {
    const backend = await openBackend(config, { log })
    open.push(backend)
    return backend
  }

  it('is refused in one line where nobody listens, without the password', async () => {
    const port = await quietPort()
    const kinds: QueueConfig[] = [
      { kind: 'postgres', url: `postgres://limpet:s3cret@127.0.0.1:${port}/limpet` },
      { kind: 'redis', urls: [`redis://:s3cret@127.0.0.1:${port}`] },
      { kind: 'redis', urls: [`redis://127.0.0.1:${port}`, `redis://u:s3cret@127.0.0.1:${port}`] },
    ]
    for (const config of kinds) {
      const error = await refusal(openOne(config))
      expect(error.code).to.equal('unreachable')
      expect(error.message).to.match(/^the queue at \S+ can't be reached: .*ECONNREFUSED/)
      expect(error.message).to.contain(String(port)).and.not.contain('s3cret').and.not.contain('\n')
    }
  })

  it('is refused soon by a server that accepts and says nothing', async () => {
    const proxy = await startHalfOpenProxy()
    proxies.push(proxy)
    proxy.goSilent()
    for (const config of [
      { kind: 'postgres', url: `postgres://limpet@127.0.0.1:${proxy.port}/limpet` },
      { kind: 'redis', urls: [`redis://127.0.0.1:${proxy.port}`] },
    ] as const) {
      const began = performance.now()
      const error = await refusal(openOne({ ...config } as QueueConfig))
      // Some seconds by the rule; a client left to itself would wait for minutes or for ever.
      expect(performance.now() - began).to.be.below(45_000)
      expect(error.code).to.equal('unreachable')
    }
  })

  it('says what the server said: no such database', async () => {
    const { url } = await freshDatabase({ migrated: false })
    const error = await refusal(openOne({ kind: 'postgres', url: url.replace(/[^/]*$/, 'nowhere') }))
    expect(error.message).to.contain('database "nowhere" does not exist')
  })

  it('says what the server said: a wrong password', async function () {
    const redis = await ownRedis(this)
    await redis.command('CONFIG', 'SET', 'requirepass', 'right')
    try {
      const { port } = redis
      const error = await refusal(openOne({ kind: 'redis', urls: [`redis://:wrong@127.0.0.1:${port}`] }))
      expect(error.message).to.match(/WRONGPASS|invalid/)
      await openOne({ kind: 'redis', urls: [`redis://:right@127.0.0.1:${port}`] })
    } finally {
      await redis.remove()
    }
  })

  it('is migrated once, by however many at once, and asked for where it was not', async () => {
    const database = await freshDatabase({ migrated: false })
    const { url } = database
    const backends = await Promise.all([1, 2, 3].map(() => openOne({ kind: 'postgres', url })))
    const [first] = backends
    expect((await refusal(first!.checkSettings())).code).to.equal('schema')
    await Promise.all(backends.map((backend) => backend.migrate()))
    await first!.migrate()
    await first!.checkSettings()
    for (const backend of open.splice(0)) await backend.close()
    await database.drop()
  })

  it('refuses a Redis that may throw jobs away', async function () {
    const redis = await sharedRedis(this)
    const backend = await openOne({ kind: 'redis', urls: [redis.url] })
    await backend.checkSettings()
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    try {
      const error = await refusal(backend.checkSettings())
      expect(error.code).to.equal('settings')
      expect(error.message).to.contain('maxmemory-policy allkeys-lru').and.contain('noeviction')
    } finally {
      await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    }
  })

  it('takes the addresses of a Redis Cluster, although the first is dead', async function () {
    const redis = await redisCluster(this)
    try {
      const dead = `redis://127.0.0.1:${await quietPort()}`
      const backend = await openOne({ kind: 'redis', urls: [dead, redis.url] })
      await backend.checkSettings()
      const queues = openQueues({ backend, log })
      await until(() => wakeOne(queues), { what: 'a wake to be taken' })
      const counts = await until(() => queues.counts(), { what: 'the counts' })
      expect(counts['delivery']).to.deep.equal({ waiting: 1, active: 0 })
      await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'volatile-ttl')
      expect((await refusal(backend.checkSettings())).code).to.equal('settings')
    } finally {
      await redis.remove()
    }
  })

  for (const { name, shared } of BACKENDS.slice(0, 2)) {
    it(`fails calls to ${name} within three seconds once it fell silent, and ends its connections all the same`, async function () {
      const place = await shared(this)
      const proxy = await startHalfOpenProxy()
      proxies.push(proxy)
      const backend = await openOne(through(proxy, place.config))
      const queues = openQueues({ backend, log })
      await until(() => wakeOne(queues), { what: 'a wake to be taken' })
      proxy.goSilent()
      const calls = [
        () => queues.wake([{ destination: 'b.example', queue: 'delivery' }]),
        () => queues.takesWrites(),
        () => queues.counts(),
      ]
      for (const call of calls) {
        const fails = async () => {
          const failed = await call().then(
            () => false,
            () => true,
          )
          expect(failed).to.equal(true)
        }
        expect(await shortest(3_000, fails)).to.be.below(3_000)
      }
      await backend.close()
    })
  }
})

/** Fails after two seconds, which a busy machine may need. */
async function wakeOne(queues: Queues): Promise<true> {
  await queues.wake([{ destination: 'a.example', queue: 'delivery' }])
  return true
}

/** The same server, reached through the proxy. */
function through(proxy: HalfOpenProxy, config: QueueConfig): QueueConfig {
  const url = new URL(config.kind === 'postgres' ? config.url : (config.urls[0] ?? ''))
  proxy.forwardTo(Number(url.port))
  url.port = String(proxy.port)
  return config.kind === 'postgres'
    ? { kind: 'postgres', url: url.href }
    : { kind: 'redis', urls: [url.href] }
}
