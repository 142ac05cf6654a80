import { expect } from 'chai'
import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { makeWatchOverhead, MOST_OVERHEAD, OVERHEAD } from '../../src/wire/tls-overhead.ts'
import { until } from '../support/poll.ts'

/** A connection of which the test says what came. */
class Came extends EventEmitter {
  looks = 0
  ended: string | undefined
  #bytesRead = 0
  get bytesRead() {
    this.looks += 1
    return this.#bytesRead
  }
  set bytesRead(bytes) {
    this.#bytesRead = bytes
  }
  destroy({ code }: { code: string }) {
    this.ended = code
  }
}

describe('what TLS brings beside what it says', () => {
  const watch = makeWatchOverhead()
  const start = () => {
    const [tcp, socket] = [new Came(), new Came()]
    return { tcp, socket, watched: watch(tcp as unknown as Socket, socket as unknown as TLSSocket) }
  }
  const looked = async () => {
    const probe = start()
    probe.tcp.bytesRead = 10 * MOST_OVERHEAD
    await until(() => probe.socket.ended === OVERHEAD, { what: 'a look at all' })
  }

  it('ends a connection where it is much: keys that are renewed over and over', async () => {
    const { tcp, socket } = start()
    tcp.bytesRead = MOST_OVERHEAD + 1
    await until(() => socket.ended === OVERHEAD, { what: 'the connection to be ended' })
  })

  it('leaves one alone on which much is said, in small records', async () => {
    const { tcp, socket, watched } = start()
    socket.bytesRead = 1_000_000
    tcp.bytesRead = 1_800_000
    await looked()
    expect(socket.ended).to.equal(undefined)
    watched.stop()
  })

  it('counts for each request anew', async () => {
    const { tcp, socket, watched } = start()
    for (let i = 1; i < 5; i++) {
      tcp.bytesRead = i * MOST_OVERHEAD
      await looked()
      watched.inUse()
    }
    expect(socket.ended).to.equal(undefined)
    watched.stop()
  })

  it('looks at one on which nothing is asked more seldom, and ends it likewise', async () => {
    const { tcp, socket, watched } = start()
    watched.idle()
    const busy = start()
    tcp.looks = busy.tcp.looks = 0
    await until(() => tcp.looks >= 2, { what: 'a second look at the idle one' })
    // One timer looks at both, so it is the ratio that counts: a machine that stalls may have come to a third look by now.
    expect(busy.tcp.looks).to.be.within(10 * (tcp.looks - 1) + 1, 10 * tcp.looks)
    busy.watched.stop()
    tcp.bytesRead = 2 * MOST_OVERHEAD
    await until(() => socket.ended === OVERHEAD, { what: 'the idle connection to be ended' })
  })

  it('does not look at what has ended', async () => {
    const { tcp, socket, watched } = start()
    watched.stop()
    tcp.bytesRead = 10 * MOST_OVERHEAD
    await looked()
    expect(socket.ended).to.equal(undefined)
  })
})
