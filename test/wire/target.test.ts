import { expect } from 'chai'
import type { Lookup } from '../../src/wire/target.ts'
import { useSetting } from './setting.ts'

describe('where a server name leads', () => {
  const setting = useSetting()

  it('reaches 127.0.0.1 and ::1 with a port, each under its own Host header', async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const server = await setting().homeserver({ host })
      const result = await setting().sender().send(server.serverName)
      expect(result).to.include({ kind: 'answered' })
      expect(server.hosts).to.deep.equal([server.serverName])
    }
  })

  it('goes on to the next address where the first does not answer', async () => {
    const tls = await setting().authority.issue({ names: ['b.example'] })
    const server = await setting().homeserver({ tls, hostName: 'b.example' })
    const lookup: Lookup = () => Promise.resolve([{ address: '127.0.0.9' }, { address: '127.0.0.1' }])
    const result = await setting().sender({ lookup }).send(server.serverName)
    expect(result).to.include({ kind: 'answered' })
  })
})
