/** A Redis that becomes a replica and is set to take writes all the same: they don't count, so everybody leaves it. */
import { expect } from 'chai'
import { openBackend } from '../../queues/open-backend.ts'
import { openQueues } from '../../queues/queues.ts'
import { startWorkers } from '../../queues/workers.ts'
import { until } from '../support/poll.ts'
import { ownRedis, type OwnRedis } from '../support/redis.ts'
import { startRoughProxy } from '../support/rough-proxy.ts'
import { quiet } from './stage.ts'

describe('a Redis that became a replica', () => {
  const servers: OwnRedis[] = []
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.remove()
  })

  for (const readOnly of ['yes', 'no'])
    it(`is left by every connection, those of idle workers too (replica-read-only ${readOnly})`, async function () {
      const old = await ownRedis(this)
      const next = await ownRedis(this)
      servers.push(old, next)
      const address = await startRoughProxy()
      address.forwardTo(old.port)
      const config = { kind: 'redis' as const, urls: [`redis://127.0.0.1:${address.port}`] }
      const backend = await openBackend(config, { log: quiet })
      const queues = openQueues({ backend, log: quiet })
      const served: string[] = []
      const workers = startWorkers({
        backend,
        turn: (destination) => {
          served.push(destination)
          return Promise.resolve({ again: false })
        },
        fanout: () => Promise.resolve(),
        concurrency: { delivery: 4, recovery: 4 },
        roles: { deliver: true, fanout: true },
        log: quiet,
      })
      // Two for commands, and one on which each of three workers waits.
      await until(async () => (await old.clients()).length === 5, { what: 'all to be connected' })
      await old.command('CONFIG', 'SET', 'replica-read-only', readOnly)
      await old.command('REPLICAOF', '127.0.0.1', String(next.port))
      await until(async () => (await old.clients()).length > 0, { what: 'some to be there again' })
      address.forwardTo(next.port)
      await until(async () => (await old.clients()).length === 0, {
        what: 'nobody to be connected to the old one',
        withinMs: 30_000,
      })
      await until(() => queues.wake([{ destination: 'a.example', queue: 'delivery' }]).then(() => true), {
        what: 'a wake to be taken',
      })
      await until(() => served.length > 0, { what: 'the turn' })
      expect(served).to.deep.equal(['a.example'])
      await workers.close(0)
      await queues.close()
      await backend.close()
      await address.close()
    })
})
