import { expect } from 'chai'
import { matrixError, tooManyRequests } from '../../src/simulate/fleet/behaviour.ts'
import type { Behaviour } from '../../src/simulate/fleet/behaviour.ts'
import { until } from '../support/poll.ts'
import { aBody, name, useSetting } from './setting.ts'

describe('sending a transaction', () => {
  const setting = useSetting()

  it('is signed so that tweetnacl agrees, for this destination, and answered for each PDU', async () => {
    const server = await setting().homeserver()
    const result = await setting()
      .sender()
      .send(server.serverName, { txnId: 't1', body: aBody('$a', '$b') })
    expect(result).to.include({ kind: 'answered' })
    expect(result.kind === 'answered' && [...(result.pdus ?? [])]).to.deep.equal([
      ['$a', { error: null }],
      ['$b', { error: null }],
    ])
    expect(server.violations).to.deep.equal([])
    expect([...server.received.keys()]).to.deep.equal(['$a', '$b'])
    expect(server.transactions).to.have.length(1)
    expect(server.transactions[0]).to.include({ txnId: 't1', body: aBody('$a', '$b'), answered: true })
  })

  it('signs a body with signs of other scripts and an odd transaction id', async () => {
    const server = await setting().homeserver()
    const body = aBody('$ünïcödé-😀-\u2028')
    const result = await setting().sender().send(server.serverName, { txnId: 'a/b?c=ü', body })
    expect(result.kind).to.equal('answered')
    expect(server.transactions[0]).to.include({ txnId: 'a/b?c=ü', body })
    expect(server.violations).to.deep.equal([])
  })

  it('repeats a transaction with a fresh signature and the same bytes', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'drop after processing' } })
    const sender = setting().sender()
    const first = await sender.send(server.serverName, { txnId: 't1' })
    expect(first).to.include({ kind: 'failed', stage: 'protocol', handed: true, status: null })
    server.behave({ kind: 'ok' })
    const second = await sender.send(server.serverName, { txnId: 't1' })
    expect(second.kind).to.equal('answered')
    expect(server.violations).to.deep.equal([])
    expect(server.received.get('$a')?.times).to.equal(1)
  })

  it('uses one connection for one request after the other', async () => {
    const server = await setting().homeserver()
    const { send, connections } = setting().sender()
    for (let i = 0; i < 10; i++) expect((await send(server.serverName)).kind).to.equal('answered')
    expect(server.connections).to.equal(1)
    expect(server.mostOpenAtOnce).to.equal(1)
    expect(connections.counts()).to.deep.equal({ idle: 1, inUse: 0, opening: 0 })
  })

  it('takes a new connection where the server closed the idle one', async () => {
    const server = await setting().homeserver()
    const { send, connections } = setting().sender()
    await send(server.serverName)
    await server.stop()
    await until(() => connections.counts().idle === 0, { what: 'the closed connection to be noticed' })
    await server.restart()
    expect(await send(server.serverName)).to.include({ kind: 'answered' })
    expect(server.connections).to.equal(2)
  })

  it('takes a new connection in the same attempt where the idle one dies before anything is written', async () => {
    const server = await setting().homeserver()
    const { send, connections } = setting().sender()
    await send(server.serverName)
    const idle = connections.take(name(server.serverName))
    if (idle === null) throw new Error('no idle connection')
    connections.giveBack(idle)
    const sending = send(server.serverName)
    idle.socket.destroy() // While undici still makes sure that it is alive.
    expect(await sending).to.include({ kind: 'answered' })
    expect(server.connections).to.equal(2)
    expect(server.requests).to.equal(2)
  })

  it('keeps using a connection after an error that was read whole', async () => {
    const server = await setting().homeserver({ behaviour: matrixError(500, 'M_UNKNOWN') })
    const { send } = setting().sender()
    await send(server.serverName, { txnId: 't1' })
    server.behave({ kind: 'ok' })
    await send(server.serverName, { txnId: 't1' })
    expect(server.connections).to.equal(1)
  })

  it('reads errors of single PDUs, and an answer without any', async () => {
    const server = await setting().homeserver({
      behaviour: { kind: 'ok', refuses: (id) => (id === '$b' ? 'not\nallowed' : null) },
    })
    const { send } = setting().sender()
    const listed = await send(server.serverName, { body: aBody('$a', '$b') })
    expect(listed.kind === 'answered' && listed.pdus?.get('$b')).to.deep.equal({ error: 'not allowed' })
    server.behave({ kind: 'ok', listing: 'none' })
    const bare = await send(server.serverName)
    expect(bare).to.include({ kind: 'answered', pdus: null })
    server.behave({ kind: 'ok', listing: 'empty' })
    const empty = await send(server.serverName)
    expect(empty.kind === 'answered' && empty.pdus?.size).to.equal(0)
  })

  it('reads how long a 429 asks to wait', async () => {
    const server = await setting().homeserver({ behaviour: tooManyRequests(12_345) })
    const result = await setting().sender().send(server.serverName)
    expect(result).to.include({ kind: 'failed', stage: 'http', status: 429, handed: true })
    expect(result).to.include({ errcode: 'M_LIMIT_EXCEEDED', retryAfterMs: 13_000 })
    expect(result).to.include({ message: 'answered 429 M_LIMIT_EXCEEDED: Too Many Requests' })
  })

  const json = { 'content-type': 'application/json' }
  const odd: [string, Behaviour, string, number | null][] = [
    ['HTML with 200', { kind: 'status', status: 200, body: '<html>hello</html>' }, 'protocol', 200],
    ['an array with 200', { kind: 'status', status: 200, headers: json, body: '[]' }, 'protocol', 200],
    ['nothing with 200', { kind: 'status', status: 200, headers: json, body: '' }, 'protocol', 200],
    ['an object with 201', { kind: 'status', status: 201, headers: json, body: '{"pdus":{}}' }, 'http', 201],
    ['204', { kind: 'status', status: 204 }, 'http', 204],
    [
      'a redirect',
      { kind: 'status', status: 307, headers: { location: 'https://elsewhere.example/' } },
      'http',
      307,
    ],
    ['half an answer', { kind: 'half an answer' }, 'protocol', 200],
    [
      'more than 256 KiB',
      { kind: 'status', status: 200, headers: json, body: `{"x":"${'x'.repeat(256 << 10)}"}` },
      'protocol',
      200,
    ],
    ['a long error page', { kind: 'status', status: 502, body: 'x'.repeat(1 << 20) }, 'http', 502],
  ]
  for (const [what, behaviour, stage, status] of odd) {
    it(`counts ${what} as a failure`, async () => {
      const server = await setting().homeserver({ behaviour })
      const result = await setting().sender().send(server.serverName)
      expect(result).to.include({ kind: 'failed', stage, status, handed: true })
    })
  }

  it('takes an answer of 256 KiB, and none that has a byte more', async () => {
    const body = (bytes: number) => `{"pdus":{},"x":"${'x'.repeat(bytes - 18)}"}`
    const answers = async (bytes: number) => {
      const behaviour: Behaviour = { kind: 'status', status: 200, headers: json, body: body(bytes) }
      return setting()
        .sender()
        .send((await setting().homeserver({ behaviour })).serverName)
    }
    expect(body(256 << 10)).to.have.length(256 << 10)
    expect((await answers(256 << 10)).kind).to.equal('answered')
    expect(await answers((256 << 10) + 1)).to.include({
      stage: 'protocol',
      status: 200,
      message: 'the answer is larger than 256 KiB',
    })
  })
})
