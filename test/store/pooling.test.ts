/** What asks whether a pooler stands before the database must itself get on, whatever the database does meanwhile. */
import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { refusePooling } from '../../src/store/pooling.ts'
import { startHalfOpenProxy } from '../support/half-open-proxy.ts'
import { until } from '../support/poll.ts'
import { sharedServer } from '../support/postgres.ts'

describe('the question whether a pooler is in the way', function () {
  this.timeout(40_000)

  it('ends, too, where the database falls silent in the middle of it', async () => {
    const proxy = await startHalfOpenProxy()
    try {
      const server = new URL((await sharedServer()).url)
      proxy.forwardTo(Number(server.port))
      server.port = String(proxy.port)
      const asked = refusePooling({ url: server.href, clock: systemClock, nonce: 'once' }).then(
        () => 'accepted',
        (error: unknown) => (error as Error).message,
      )
      await until(() => proxy.accepted === 2, { what: 'the second connection', everyMs: 1 })
      proxy.goSilent()
      expect(await asked).to.match(/gives no second connection|timeout/i)
    } finally {
      await proxy.close()
    }
  })
})
