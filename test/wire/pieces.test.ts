import { TLSSocket } from 'node:tls'
import { expect } from 'chai'
import { PIECE_BYTES } from '../../src/wire/pieces.ts'
import { answer, startRawRemote, type RawRequest } from './raw-remote.ts'
import { aBody, useSetting } from './setting.ts'

const LARGE = 3_000_000
const large = () => aBody(`$${'x'.repeat(LARGE)}`)

describe('a large body', () => {
  const setting = useSetting()
  let restore: () => void
  let largest: number

  // Node.js lets each connection keep memory of its largest write, so that is what is watched.
  beforeEach(() => {
    const write = Reflect.get(TLSSocket.prototype, 'write') as (
      this: TLSSocket,
      ...args: unknown[]
    ) => boolean
    largest = 0
    TLSSocket.prototype.write = function (this: TLSSocket, ...args: unknown[]) {
      largest = Math.max(largest, (args[0] as Buffer | string).length)
      return write.apply(this, args)
    }
    restore = () => {
      TLSSocket.prototype.write = write
    }
  })
  afterEach(() => restore())

  const remote = async (does: (request: RawRequest) => unknown, atHead = false) => {
    const started = await startRawRemote(await setting().authority.issue(), does, { atHead })
    setting().closing(() => started.close())
    return started
  }

  it('arrives whole, in writes that are no larger than a piece', async () => {
    const { serverName, requests } = await remote(({ socket }) => socket.write(answer()))
    const { send, connections } = setting().sender()
    for (const body of [large(), aBody('$a'), aBody(`$${'x'.repeat(PIECE_BYTES)}`), large()]) {
      expect((await send(serverName, { body })).kind).to.equal('answered')
      expect(requests.at(-1)?.body).to.equal(body)
    }
    expect(largest).to.equal(PIECE_BYTES)
    expect(requests.map(({ connection }) => connection)).to.deep.equal([1, 1, 1, 1])
    expect(connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
  })

  it('that is answered before it was taken whole ends with that answer, and its connection with it', async () => {
    const tooLarge = 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 2\r\n\r\n{}'
    const { serverName } = await remote(({ socket }) => socket.write(tooLarge), true)
    const { send, connections } = setting().sender()
    const result = await send(serverName, { body: large() })
    expect(result).to.include({ kind: 'failed', stage: 'http', status: 413 })
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
  })

  it('of which no more is taken ends with its time', async () => {
    const { serverName } = await remote(() => undefined, true)
    const { send, connections } = setting().sender()
    const result = await send(serverName, { body: large(), timeoutMs: 500 })
    expect(result).to.include({ kind: 'failed', stage: 'timeout', handed: true })
    expect(connections.counts()).to.deep.equal({ idle: 0, inUse: 0, opening: 0 })
  })
})
