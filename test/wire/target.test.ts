import { expect } from 'chai'
import { makeResolveTarget } from '../../src/wire/target.ts'
import type { Lookup } from '../../src/wire/target.ts'
import { name, useSetting } from './setting.ts'

const never: Lookup = () => {
  throw new Error('should not be asked')
}
const two: Lookup = () => Promise.resolve([{ address: '192.0.2.1' }, { address: '2001:db8::1' }])

describe('where a server name leads', () => {
  const setting = useSetting()

  const literals: [string, string, number, string][] = [
    ['192.0.2.1', '192.0.2.1', 8448, '192.0.2.1'],
    ['192.0.2.1:443', '192.0.2.1', 443, '192.0.2.1:443'],
    ['[2001:db8::1]', '2001:db8::1', 8448, '[2001:db8::1]'],
    ['[2001:db8::1]:443', '2001:db8::1', 443, '[2001:db8::1]:443'],
  ]
  for (const [text, address, port, hostHeader] of literals) {
    it(`${text}: the address itself, without a lookup and without SNI`, async () => {
      const found = await makeResolveTarget({ lookup: never })(name(text))
      expect(found).to.deep.equal({
        kind: 'found',
        target: { addresses: [address], port, tlsName: address, sni: null, hostHeader },
      })
    })
  }

  it('a name with a port: its addresses, its own certificate, the port in the Host header', async () => {
    const found = await makeResolveTarget({ lookup: two })(name('b.example:8008'))
    expect(found).to.deep.equal({
      kind: 'found',
      target: {
        addresses: ['192.0.2.1', '2001:db8::1'],
        port: 8008,
        tlsName: 'b.example',
        sni: 'b.example',
        hostHeader: 'b.example:8008',
      },
    })
  })

  it('a plain name: not yet', async () => {
    expect(await makeResolveTarget({ lookup: never })(name('b.example'))).to.deep.equal({
      kind: 'failed',
      stage: 'discovery',
      message: 'server discovery comes in the next release',
    })
  })

  it('leaves out addresses that are not allowed, of names and of literals', async () => {
    const vet = (address: string) => (address.includes(':') ? 'denied' : null)
    const found = await makeResolveTarget({ lookup: two, vet })(name('b.example:1'))
    expect(found.kind === 'found' && found.target.addresses).to.deep.equal(['192.0.2.1'])
    const denied = await makeResolveTarget({ lookup: never, vet })(name('[::1]:1'))
    expect(denied).to.include({ kind: 'failed', stage: 'address', message: 'denied' })
  })

  it('says why a name has no address', async () => {
    const gone: Lookup = () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' }))
    const failed = await makeResolveTarget({ lookup: gone })(name('b.example:1'))
    expect(failed).to.include({ stage: 'address', message: 'the name has no address (ENOTFOUND)' })
    const slow = makeResolveTarget({ lookup: () => new Promise(() => undefined), lookupTimeoutMs: 20 })
    expect(await slow(name('b.example:1'))).to.include({ stage: 'address' })
  })

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
