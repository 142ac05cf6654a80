import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import { pino } from 'pino'
import { makeSubscriber } from '../../queues/subscribe.ts'

describe('hearing a Redis channel', () => {
  let server: Server
  let url: string

  beforeEach(async () => {
    server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(() => server.close())

  it('opens nothing for a signal that has aborted before, and ends its connection when one aborts later', async () => {
    const hear = makeSubscriber({ url, log: pino({ level: 'silent' }) })
    let connections = 0
    server.on('connection', () => (connections += 1))
    hear('a.example', () => undefined, AbortSignal.abort())
    const stopping = new AbortController()
    const connected = once(server, 'connection')
    hear('a.example', () => undefined, stopping.signal)
    const [socket] = (await connected) as [Socket]
    const closed = once(socket.resume(), 'close')
    stopping.abort()
    await closed
    expect(connections).to.equal(1)
  })
})
