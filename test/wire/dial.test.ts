import { expect } from 'chai'
import type { Socket } from 'node:net'
import { makeCertificateAuthority } from '../../src/simulate/fleet/certs.ts'
import type { Dialled } from '../../src/wire/dial.ts'
import { makeHandshakeGate } from '../../src/wire/handshake-gate.ts'
import { STAGGER_MS } from '../../src/wire/race.ts'
import { makeVet } from '../../src/allow/vet.ts'
import { startBlackHole } from '../support/black-hole.ts'
import { until } from '../support/poll.ts'
import {
  allClosed,
  listen,
  makeDialler,
  resetting,
  silent,
  somePort,
  speaking,
  targetAt,
} from './dialling.ts'
import type { Listener } from './dialling.ts'
import { useSetting } from './setting.ts'

// Much longer than mocha waits: whoever waits for it fails.
const FOR_EVER = 600_000

describe('dialling several addresses', () => {
  const setting = useSetting()
  const good = async () => speaking(await setting().authority.issue({ names: ['b.example'] }))

  const whatFails: [string, (host: string, port: number) => Promise<unknown>][] = [
    ['refuses', () => Promise.resolve()],
    [
      'takes the connection and resets it at the hello',
      (host, port) => listen(setting(), host, port, resetting),
    ],
    ['closes at once', (host, port) => listen(setting(), host, port, (socket) => socket.end())],
    ['speaks no TLS', (host, port) => listen(setting(), host, port, (socket) => socket.end('220 hello\r\n'))],
    [
      'has a certificate for another name',
      async (host, port) => {
        const tls = await setting().authority.issue({ names: ['c.example'] })
        return listen(setting(), host, port, speaking(tls))
      },
    ],
    [
      'has an expired certificate',
      async (host, port) => {
        const tls = await setting().authority.issue({ names: ['b.example'], expired: true })
        return listen(setting(), host, port, speaking(tls))
      },
    ],
    [
      'has a certificate of an unknown authority',
      async (host, port) => {
        const impostor = await makeCertificateAuthority(Date.now())
        return listen(setting(), host, port, speaking(await impostor.issue({ names: ['b.example'] })))
      },
    ],
    ['accepts and says nothing', (host, port) => listen(setting(), host, port, silent)],
    [
      'drops every packet',
      async (host, port) => {
        const hole = await startBlackHole(host, port)
        setting().closing(() => hole.close())
      },
    ],
  ]
  for (const [what, prepare] of whatFails)
    for (const [bad, well] of [
      ['::1', '127.0.0.1'],
      ['127.0.0.1', '::1'],
    ] as const)
      it(`goes on where ${bad} ${what} and ${well} is well`, async () => {
        const port = await somePort()
        await prepare(bad, port)
        const listener = await listen(setting(), well, port, await good())
        const { open } = makeDialler(setting(), { connectTimeoutMs: FOR_EVER })
        const dialled = await open(targetAt([bad, well], port))
        expect(dialled).to.include({ kind: 'open', address: well })
        expect(listener.open.size).to.equal(1)
      })

  it('goes on through several that fail, each in another way', async () => {
    const port = await somePort()
    const hole = await startBlackHole('127.0.0.2', port)
    setting().closing(() => hole.close())
    const failing = [
      await listen(setting(), '::1', port, resetting),
      await listen(setting(), '127.0.0.3', port, silent),
    ]
    await listen(setting(), '127.0.0.5', port, await good())
    const { open } = makeDialler(setting(), { connectTimeoutMs: FOR_EVER })
    const addresses = ['::1', '127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5']
    expect(await open(targetAt(addresses, port))).to.include({ kind: 'open', address: '127.0.0.5' })
    await allClosed(failing)
  })

  it('starts one every 250 ms while none is getting on, families in turn', async () => {
    const port = await somePort()
    const order: string[] = []
    const hosts = ['127.0.0.1', '127.0.0.2', '::1', '127.0.0.3']
    const listeners: Listener[] = []
    const abort = new AbortController()
    for (const host of hosts)
      listeners.push(
        await listen(setting(), host, port, (socket) => {
          order.push(host)
          silent(socket)
          if (order.length === hosts.length) abort.abort()
        }),
      )
    const started = performance.now()
    await makeDialler(setting()).open(targetAt(hosts, port), null, abort.signal)
    expect(order).to.deep.equal(['127.0.0.1', '::1', '127.0.0.2', '127.0.0.3'])
    const times = listeners.flatMap(({ accepted }) => accepted).sort((a, b) => a - b)
    for (const [i, at] of times.entries()) expect(at - started).to.be.at.least(i * STAGGER_MS - 5)
    await allClosed(listeners)
  })

  it('cuts off none: each has the whole time-out, and the first to be done wins', async () => {
    const port = await somePort()
    const slow = speaking(await setting().authority.issue({ names: ['b.example'] }), 1_400)
    await listen(setting(), '127.0.0.1', port, slow)
    const others = [
      await listen(setting(), '127.0.0.2', port, silent),
      await listen(setting(), '127.0.0.3', port, silent),
    ]
    // A third of it is less than the first takes, and more than any handshake gets.
    const { open } = makeDialler(setting(), { connectTimeoutMs: 3_600 })
    const dialled = await open(targetAt(['127.0.0.1', '127.0.0.2', '127.0.0.3'], port))
    expect(dialled).to.include({ kind: 'open', address: '127.0.0.1' })
    // They were tried meanwhile, and have ended.
    expect(others.map(({ accepted }) => accepted.length)).to.deep.equal([1, 1])
    await allClosed(others)
  })

  it('tries no other address where the first works', async () => {
    const port = await somePort()
    const first = await listen(setting(), '127.0.0.1', port, await good())
    const second = await listen(setting(), '127.0.0.2', port, await good())
    const { open } = makeDialler(setting())
    for (let i = 0; i < 5; i++) await open(targetAt(['127.0.0.1', '127.0.0.2'], port))
    expect([first.accepted.length, second.accepted.length]).to.deep.equal([5, 0])
  })

  it('tries first what worked last, if it is still an address of the target', async () => {
    const port = await somePort()
    const first = await listen(setting(), '127.0.0.1', port, await good())
    const second = await listen(setting(), '127.0.0.2', port, await good())
    const target = targetAt(['127.0.0.1', '127.0.0.2'], port)
    const { open } = makeDialler(setting())
    expect(await open(target, '127.0.0.2')).to.include({ kind: 'open', address: '127.0.0.2' })
    expect(first.accepted.length).to.equal(0)
    expect(await open(target, '127.0.0.3')).to.include({ kind: 'open', address: '127.0.0.1' })
    expect(second.accepted.length).to.equal(1)
  })

  it('waits at the gate of handshakes without trying another address meanwhile', async () => {
    const port = await somePort()
    const first = await listen(setting(), '127.0.0.1', port, await good())
    const second = await listen(setting(), '127.0.0.2', port, await good())
    const gate = makeHandshakeGate({ atOnce: 1, slotMs: FOR_EVER })
    const leave = await gate.enter(new AbortController().signal)
    const { open } = makeDialler(setting(), { gate, connectTimeoutMs: 1_000 })
    const dialling = open(targetAt(['127.0.0.1', '127.0.0.2'], port))
    await until(() => first.accepted.length === 1, { what: 'the connection' })
    // Longer than the time between two attempts, and than the time-out: the wait is our own doing.
    const free = performance.now() + 1_100
    await until(() => performance.now() > free, { what: 'the place to be free' })
    leave?.()
    expect(await dialling).to.include({ kind: 'open', address: '127.0.0.1' })
    expect(second.accepted.length).to.equal(0)
  })

  describe('where all fail', () => {
    const failed = (dialled: Dialled) => (dialled.kind === 'failed' ? dialled : null)

    it('tells the attempt that got farthest, with its address, and the others briefly', async () => {
      const port = await somePort()
      const tls = await setting().authority.issue({ names: ['c.example'] })
      await listen(setting(), '127.0.0.2', port, speaking(tls))
      const { open } = makeDialler(setting())
      for (const addresses of [
        ['127.0.0.1', '127.0.0.2', '::1'],
        ['127.0.0.2', '127.0.0.1', '::1'],
        ['::1', '127.0.0.1', '127.0.0.2'],
      ]) {
        const dialled = failed(await open(targetAt(addresses, port)))
        expect(dialled?.stage).to.equal('tls')
        const [told, ...others] = dialled?.message.split('; ') ?? []
        expect(told).to.equal(
          `TLS with 127.0.0.2:${port}: certificate is for another name (ERR_TLS_CERT_ALTNAME_INVALID)`,
        )
        expect(others).to.have.members([`127.0.0.1:${port}: ECONNREFUSED`, `[::1]:${port}: ECONNREFUSED`])
      }
    })

    it('tells the last of those that got equally far', async () => {
      const port = await somePort()
      const { open } = makeDialler(setting())
      expect(await open(targetAt(['127.0.0.1', '127.0.0.2'], port))).to.deep.equal({
        ...{ kind: 'failed', stage: 'connect' },
        message: `connecting to 127.0.0.2:${port}: nothing listens there (ECONNREFUSED); 127.0.0.1:${port}: ECONNREFUSED`,
      })
    })

    it('does not repeat the address of a destination that is one', async () => {
      const port = await somePort()
      const { open } = makeDialler(setting())
      const target = targetAt(['127.0.0.1'], port, { tlsName: '127.0.0.1', sni: null })
      expect(await open(target)).to.deep.equal({
        ...{ kind: 'failed', stage: 'connect', message: 'nothing listens there (ECONNREFUSED)' },
      })
    })

    it('tells a time-out of TCP from one of TLS', async () => {
      const port = await somePort()
      const hole = await startBlackHole('127.0.0.1', port)
      setting().closing(() => hole.close())
      const mute = await listen(setting(), '127.0.0.2', port, silent)
      const { open } = makeDialler(setting(), { connectTimeoutMs: 300 })
      const [tcp, tls] = await Promise.all(
        ['127.0.0.1', '127.0.0.2'].map((address) => open(targetAt([address], port))),
      )
      expect(tcp).to.include({
        stage: 'connect',
        message: `connecting to 127.0.0.1:${port}: no connection in time (ETIMEDOUT)`,
      })
      expect(tls).to.include({
        stage: 'tls',
        message: `TLS with 127.0.0.2:${port}: no TLS handshake in time (ERR_TLS_TIMEOUT)`,
      })
      await allClosed([mute])
    })

    it('takes no longer than one time-out and the time between the attempts', async () => {
      const port = await somePort()
      const hosts = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4']
      for (const host of hosts) {
        const hole = await startBlackHole(host, port)
        setting().closing(() => hole.close())
      }
      const { open } = makeDialler(setting(), { connectTimeoutMs: 2_000 })
      const started = performance.now()
      const dialled = failed(await open(targetAt(hosts, port)))
      // One after the other would be 8 s.
      expect(performance.now() - started).to.be.within(1_995 + 3 * STAGGER_MS, 6_000)
      expect(dialled?.message.match(/ETIMEDOUT/g)).to.have.length(4)
    })

    it('says so where there are no addresses', async () => {
      expect(await makeDialler(setting()).open(targetAt([], 1))).to.deep.equal({
        ...{ kind: 'failed', stage: 'connect', message: 'it has no addresses' },
      })
    })
  })

  describe('a dial that is ended', () => {
    it('ends at once, and leaves no socket behind, however far its attempts are', async () => {
      const port = await somePort()
      const hole = await startBlackHole('127.0.0.1', port)
      setting().closing(() => hole.close())
      const abort = new AbortController()
      const told: Socket[] = []
      const listeners = [
        await listen(setting(), '127.0.0.2', port, silent),
        await listen(setting(), '127.0.0.3', port, (socket) => {
          silent(socket)
          socket.once('data', () => told.push(socket))
        }),
      ]
      const handles = tcpSockets()
      const { open } = makeDialler(setting(), { connectTimeoutMs: FOR_EVER })
      const dialling = open(targetAt(['127.0.0.1', '127.0.0.2', '127.0.0.3'], port), null, abort.signal)
      await until(() => told.length === 1, { what: 'all three to be under way' })
      abort.abort()
      expect(await dialling).to.deep.equal({
        ...{ kind: 'failed', stage: 'aborted', message: 'aborted while connecting' },
      })
      await allClosed(listeners)
      await until(() => tcpSockets() <= handles, { what: 'our sockets to be closed' })
    })

    it('does not begin where it was ended before', async () => {
      const listener = await listen(setting(), '127.0.0.1', 0, silent)
      const dialled = await makeDialler(setting()).open(
        targetAt(['127.0.0.1'], listener.port),
        null,
        AbortSignal.abort(),
      )
      expect(dialled).to.include({ kind: 'failed', stage: 'aborted' })
      expect(listener.accepted.length).to.equal(0)
    })

    it('ends while it waits for its place at the gate', async () => {
      const listener = await listen(setting(), '127.0.0.1', 0, silent)
      const gate = makeHandshakeGate({ atOnce: 1, slotMs: FOR_EVER })
      const leave = await gate.enter(new AbortController().signal)
      const abort = new AbortController()
      const { open } = makeDialler(setting(), { gate })
      const dialling = open(targetAt(['127.0.0.1'], listener.port), null, abort.signal)
      await until(() => listener.accepted.length === 1, { what: 'the connection' })
      abort.abort()
      expect(await dialling).to.include({ kind: 'failed', stage: 'aborted' })
      await allClosed([listener])
      leave?.()
      expect(gate.inside).to.equal(0)
    })
  })

  describe('connects to what was vetted, and to nothing else', () => {
    it('asks for each address with the very text, before the connection', async () => {
      const port = await somePort()
      const listeners = [
        await listen(setting(), '127.0.0.1', port, await good()),
        await listen(setting(), '127.0.0.2', port, silent),
      ]
      const asked: string[] = []
      const vet = (address: string) => {
        asked.push(address)
        return address === '127.0.0.2' ? 'not that one' : null
      }
      const dialled = await makeDialler(setting(), { vet }).open(targetAt(['127.0.0.2', '127.0.0.1'], port))
      expect(dialled).to.include({ kind: 'open', address: '127.0.0.1' })
      expect(asked).to.deep.equal(['127.0.0.2', '127.0.0.1'])
      expect(listeners[1]?.accepted).to.deep.equal([])
    })

    it('no spelling of a forbidden address comes through, and no name is looked up', async () => {
      const port = await somePort()
      const listeners = [
        await listen(setting(), '127.0.0.1', port, silent),
        await listen(setting(), '::1', port, silent),
      ]
      const spellings = [
        ...[
          '127.0.0.1',
          '127.1',
          '2130706433',
          '0x7f000001',
          '0x7f.1',
          '0177.0.0.1',
          '127.0.0.1.',
          '0',
          '0.0.0.0',
          '::',
        ],
        ...[
          '::1',
          '::0001',
          '[::1]',
          '::1%lo',
          '::ffff:127.0.0.1',
          '::ffff:7f00:1',
          '0:0:0:0:0:ffff:127.0.0.1',
          '::127.0.0.1',
        ],
        ...[
          '64:ff9b::127.0.0.1',
          '64:ff9b:1::7f00:1',
          '2002:7f00:1::',
          '2001::80ff:fffe',
          '::ffff:0:7f00:1',
          'localhost',
        ],
      ]
      const { open } = makeDialler(setting(), { vet: makeVet({}) })
      for (const spelling of spellings) {
        const dialled = await open(targetAt([spelling], port))
        expect(dialled, spelling).to.include({ kind: 'failed', stage: 'address' })
      }
      expect(listeners.map(({ accepted }) => accepted.length)).to.deep.equal([0, 0])
      // They do count: nothing but the list kept these away.
      await makeDialler(setting(), { connectTimeoutMs: 50 }).open(targetAt(['::ffff:7f00:1', '::0001'], port))
      expect(listeners.map(({ accepted }) => accepted.length)).to.deep.equal([1, 1])
    })

    it('a name is not looked up, even if everything is allowed', async () => {
      const listener = await listen(setting(), '127.0.0.1', 0, silent)
      const dialled = await makeDialler(setting()).open(targetAt(['localhost'], listener.port))
      expect(dialled).to.include({ kind: 'failed', stage: 'connect' })
      expect(listener.accepted).to.deep.equal([])
    })
  })
})

const tcpSockets = () => process.getActiveResourcesInfo().filter((one) => one === 'TCPSocketWrap').length
