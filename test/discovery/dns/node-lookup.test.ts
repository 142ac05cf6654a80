/** Our resolver where Node asks for a `lookup`: for sockets, and for got. */
import { expect } from 'chai'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { LookupOptions } from 'node:dns'
import got from 'got'
import { makeNodeLookup } from '../../../src/discovery/dns/node-lookup.ts'
import { explainError } from '../../../src/wire/explain-error.ts'
import { dnsSetting } from './setting.ts'
import type { ZoneData } from '../../../src/simulate/dns/zone.ts'

const ZONE: ZoneData = {
  'here.example': { a: ['127.0.0.1'], aaaa: ['::1'] },
  'four.example': { a: ['127.0.0.1', '127.0.0.2'] },
  'servfail.example': { instead: 'servfail' },
  'silent.example': { instead: 'silent' },
}

describe("our resolver as Node's lookup", () => {
  const setting = dnsSetting()
  async function start() {
    const server = await setting.server(ZONE)
    const lookup = makeNodeLookup(setting.resolver([server], { timeoutMs: 100, attempts: 1, lateMs: 1_000 }))
    const ask = (name: string, options: LookupOptions = {}) =>
      new Promise<unknown[]>((resolve) => lookup(name, options, (...told) => resolve(told)))
    return { server, lookup, ask }
  }

  it('gives what is asked for: one or all, of one family or any', async () => {
    const { ask } = await start()
    const six = { address: '::1', family: 6 }
    const four = { address: '127.0.0.1', family: 4 }
    expect(await ask('here.example', { all: true })).to.deep.equal([null, [six, four]])
    expect(await ask('here.example')).to.deep.equal([null, '::1', 6])
    for (const family of [4, 'IPv4'] as const) {
      expect(await ask('here.example', { family })).to.deep.equal([null, '127.0.0.1', 4])
      expect(await ask('here.example', { family, all: true })).to.deep.equal([null, [four]])
    }
    expect(await ask('here.example', { family: 6 })).to.deep.equal([null, '::1', 6])
    expect(await ask('127.0.0.9', { all: true })).to.deep.equal([null, [{ address: '127.0.0.9', family: 4 }]])
  })

  it('has the errors that Node has, and words for them', async () => {
    const { ask, server } = await start()
    const wordsOf = async (name: string, options: LookupOptions = {}) =>
      explainError((await ask(name, options))[0])
    expect(await wordsOf('nowhere.example')).to.equal('the name has no address (ENOTFOUND)')
    expect(await wordsOf('four.example', { family: 6 })).to.equal('the name has no address (ENOTFOUND)')
    expect(await wordsOf('servfail.example')).to.equal('the name could not be looked up (ESERVFAIL)')
    expect(await wordsOf('silent.example')).to.equal('the name could not be looked up (EAI_AGAIN)')
    const [error] = (await ask('servfail.example')) as [Error]
    expect(error.message).to.equal(`servfail.example: ${server.name} answered SERVFAIL`)
    expect(error).to.deep.include({ hostname: 'servfail.example', syscall: 'lookup' })
  })

  it('serves sockets and got', async () => {
    const { lookup, server } = await start()
    const web = createServer((_request, response) => response.end('here'))
    web.listen(0, '127.0.0.1')
    await once(web, 'listening')
    setting.after(() => void web.close())
    const { port } = web.address() as AddressInfo
    const socket = connect({ host: 'four.example', port, lookup })
    await once(socket, 'connect')
    expect(socket.remoteAddress).to.equal('127.0.0.1')
    socket.destroy()
    const body = await got(`http://four.example:${port}/`, {
      dnsLookup: lookup,
      retry: { limit: 0 },
    }).text()
    expect(body).to.equal('here')
    expect(server.asked('four.example', 'A')).to.equal(1)
  })
})
