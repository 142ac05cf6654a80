/** Whether one address leads to several servers, as a balancer before replicas does. */
import { expect } from 'chai'
import { comesBack, hasSeveralServers } from '../../src/store/one-server.ts'
import { startBalancer } from '../support/balancer.ts'
import { ownServer, sharedServer, type OwnServer } from '../support/postgres.ts'

describe('several servers at one address', () => {
  let primary: OwnServer
  let standby: OwnServer
  before(async () => {
    primary = await ownServer({ migrated: false })
    await primary.stop()
    const copy = primary.clone()
    await primary.start()
    standby = await copy.start(Number(new URL(primary.url).port) + 1)
  })
  after(async () => {
    await standby.remove()
    await primary.remove()
  })

  it('are noticed behind a balancer', async () => {
    const ports = [primary, standby].map(({ url }) => Number(new URL(url).port))
    const balancer = await startBalancer((count) => ports[count % ports.length] ?? 0)
    try {
      const url = new URL(primary.url)
      url.port = String(balancer.port)
      expect(await hasSeveralServers(url.href)).to.equal(true)
    } finally {
      balancer.close()
    }
  })

  it('are not seen where there is one', async () => {
    expect(await hasSeveralServers((await sharedServer()).url)).to.equal(false)
  })

  it('are told from one that was replaced by another', () => {
    expect(comesBack(['a', 'a', 'b', 'b', 'c'])).to.equal(false)
    expect(comesBack(['a', 'b', 'a'])).to.equal(true)
  })
})
