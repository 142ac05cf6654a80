import { expect } from 'chai'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:tls'
import { systemClock, type Clock } from '../../../src/pace/clock.ts'
import { makePdu } from '../../../src/matrix/make-pdu.ts'
import { generateKey } from '../../../src/matrix/signing.ts'
import { assembleTransaction } from '../../../src/matrix/transaction.ts'
import { errorPage, matrixError } from '../../../src/simulate/fleet/behaviour.ts'
import { until } from '../../support/poll.ts'
import { aBody, origin, useSetting } from '../../wire/setting.ts'

// A receiver that forgives is worth nothing: each of its rules is broken here once.
describe('the fake homeserver', () => {
  const setting = useSetting()

  it('refuses another transaction id while one is unanswered, and writes it down', async () => {
    const server = await setting().homeserver({ behaviour: matrixError(500, 'M_UNKNOWN') })
    const { send } = setting().sender()
    await send(server.serverName, { txnId: 'one' })
    server.behave({ kind: 'ok' })
    expect(await send(server.serverName, { txnId: 'two' })).to.include({ status: 429 })
    expect(server.violations).to.deep.equal(['transaction two came while one was unanswered'])
    expect(await send(server.serverName, { txnId: 'one' })).to.include({ kind: 'answered' })
    expect(await send(server.serverName, { txnId: 'two' })).to.include({ kind: 'answered' })
    expect(server.violations).to.have.length(1)
  })

  for (const behaviour of [
    { kind: 'hang' },
    { kind: 'drop after processing' },
    { kind: 'half an answer' },
    errorPage(502),
  ] as const) {
    it(`counts an id as unanswered after: ${behaviour.kind}`, async () => {
      const server = await setting().homeserver({ behaviour })
      const { send } = setting().sender()
      const abort = new AbortController()
      const first = send(server.serverName, { txnId: 'one', signal: abort.signal })
      await until(() => server.transactions.length === 1, { what: 'the first to come' })
      if (behaviour.kind === 'hang') abort.abort()
      await first
      expect(server.transactions[0]).to.include({ txnId: 'one', answered: false })
      await send(server.serverName, { txnId: 'two' })
      expect(server.violations).to.deep.equal(['transaction two came while one was unanswered'])
    })
  }

  it('lets another id follow once it was told to forgive', async () => {
    const server = await setting().homeserver({ behaviour: errorPage(502) })
    const { send } = setting().sender()
    await send(server.serverName, { txnId: 'one' })
    server.forgive()
    server.behave({ kind: 'ok' })
    expect(await send(server.serverName, { txnId: 'two' })).to.include({ kind: 'answered' })
    expect(server.violations).to.deep.equal([])
  })

  it('answers a known id from memory without taking anything again, and notices other bytes', async () => {
    const server = await setting().homeserver()
    const { send } = setting().sender()
    await send(server.serverName, { txnId: 'one', body: aBody('$a') })
    const again = await send(server.serverName, { txnId: 'one', body: aBody('$b') })
    expect(again.kind === 'answered' && [...(again.pdus?.keys() ?? [])]).to.deep.equal(['$a'])
    expect([...server.received.keys()]).to.deep.equal(['$a'])
    expect(server.violations).to.deep.equal(['transaction one came again with other bytes'])
    expect(server.transactions[0]?.requestsAt).to.have.length(2)
  })

  it('refuses more than 50 PDUs and more than 100 EDUs', async () => {
    const server = await setting().homeserver()
    const { send } = setting().sender()
    const things = (n: number, text: (i: number) => string) =>
      Array.from({ length: n }, (_, i) => text(i)).join(',')
    const head = `"origin":"${origin}","origin_server_ts":1,"pdus":`
    const pdus = (n: number) => `{${head}[${things(n, (i) => `{"event_id":"$${i}"}`)}]}`
    expect(await send(server.serverName, { body: pdus(50) })).to.include({ kind: 'answered' })
    expect(await send(server.serverName, { body: pdus(51) })).to.include({ status: 400 })
    const edus = (n: number) => `{"edus":[${things(n, () => '{"content":{},"edu_type":"x"}')}],${head}[]}`
    expect(await send(server.serverName, { body: edus(100) })).to.include({ kind: 'answered' })
    expect(await send(server.serverName, { body: edus(101) })).to.include({ status: 400 })
    expect(server.violations).to.deep.equal(['refused with 400: 51 PDUs', 'refused with 400: 101 EDUs'])
  })

  it('refuses a signature by another key, for another server, and over what is not canonical', async () => {
    const server = await setting().homeserver()
    const stranger = generateKey((size) => randomBytes(size)).key
    const other = await setting().homeserver({ verifyKey: () => stranger.publicKey })
    const { send } = setting().sender()
    expect(await send(other.serverName)).to.include({ status: 401, errcode: 'M_UNAUTHORIZED' })
    expect(other.violations).to.deep.equal(['refused with 401: the signature does not match'])
    const unsorted = `{"pdus":[],"origin":"${origin}","origin_server_ts":1}`
    expect(await send(server.serverName, { body: unsorted })).to.include({ status: 401 })
    const renamed = await setting().homeserver({ name: 'elsewhere.example' })
    expect(
      await send(renamed.serverName.replace('elsewhere.example', `127.0.0.1:${renamed.port}`)),
    ).to.include({
      status: 401,
    })
    expect(renamed.violations[0]).to.match(
      /^refused with 401: signed for 127\.0\.0\.1:\d+, not for elsewhere/,
    )
  })

  it('checks a sample of the signatures where it is told to', async () => {
    const stranger = generateKey((size) => randomBytes(size)).key
    const server = await setting().homeserver({ verifyKey: () => stranger.publicKey, verifyEvery: 3 })
    const { send } = setting().sender()
    const kinds: string[] = []
    for (let i = 0; i < 6; i++) kinds.push((await send(server.serverName)).kind)
    // Who isn't known can't leave a transaction unanswered either.
    expect(kinds).to.deep.equal(['answered', 'answered', 'failed', 'answered', 'answered', 'failed'])
  })

  it('drops PDUs as a server does that does not know their room', async () => {
    const server = await setting().homeserver({
      behaviour: { kind: 'ok', drops: (id) => id === '$b' },
    })
    const result = await setting()
      .sender()
      .send(server.serverName, { body: aBody('$a', '$b') })
    expect(result.kind === 'answered' && [...(result.pdus?.keys() ?? [])]).to.deep.equal(['$a'])
    expect([...server.received.keys()]).to.deep.equal(['$a'])
    expect(server.received.get('$a')).to.include({ roomId: '!r:limpet.example', order: 0, times: 1 })
  })

  it('knows the ids of PDUs that do not carry them', async () => {
    const server = await setting().homeserver()
    const parts = { roomId: '!r:x', type: 'm.room.message', sender: `@a:${origin}`, originServerTs: 1 }
    const { eventId, text } = makePdu(parts, setting().key, '11')
    const body = assembleTransaction({ origin, originServerTs: 1, pduTexts: [text] })
    await setting().sender().send(server.serverName, { body })
    expect([...server.received.keys()]).to.deep.equal([eventId])
  })

  it('chooses what to do request by request', async () => {
    const server = await setting().homeserver({
      behaviour: ({ n, repeated }) => (n < 3 ? errorPage(503) : repeated ? { kind: 'ok' } : { kind: 'hang' }),
    })
    const { send } = setting().sender()
    const outcomes: (number | string | null)[] = []
    for (let i = 0; i < 3; i++) {
      const result = await send(server.serverName, { txnId: 'one' })
      outcomes.push(result.kind === 'failed' ? result.status : result.kind)
    }
    expect(outcomes).to.deep.equal([503, 503, 'answered'])
  })

  it('keeps its memory and its port through a restart', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'drop after processing' } })
    const { send } = setting().sender()
    await send(server.serverName, { txnId: 'one' })
    await server.stop()
    expect(await send(server.serverName, { txnId: 'one' })).to.include({ stage: 'connect', handed: false })
    server.behave({ kind: 'ok' })
    await server.restart()
    expect(await send(server.serverName, { txnId: 'one' })).to.include({ kind: 'answered' })
    expect(server.received.get('$a')?.times).to.equal(1)
    expect(server.violations).to.deep.equal([])
    expect(server.mostOpenAtOnce).to.equal(1)
  })

  it('counts an answer that its sender stopped reading as none', async () => {
    const body = `{"x":"${'x'.repeat(32 << 20)}"}`
    const server = await setting().homeserver({ behaviour: { kind: 'status', status: 200, body } })
    expect(await setting().sender().send(server.serverName)).to.include({ kind: 'failed', handed: true })
    await until(() => server.transactions[0]?.answered === false, { what: 'the server to notice' })
  })

  it('counts an id as received when its request broke off', async () => {
    const server = await setting().homeserver()
    const socket = connect({ port: server.port, host: '127.0.0.1', ca: setting().authority.cert })
    await once(socket, 'secureConnect')
    socket.write(
      `PUT /_matrix/federation/v1/send/one HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"pdus":`,
    )
    await server.seen(1)
    socket.destroy()
    await until(() => server.transactions[0]?.txnId === 'one', { what: 'the server to notice' })
    const { send } = setting().sender()
    expect(await send(server.serverName, { txnId: 'two' })).to.include({ status: 429 })
    expect(await send(server.serverName, { txnId: 'one' })).to.include({ kind: 'answered' })
    expect(server.violations).to.deep.equal(['transaction two came while one was unanswered'])
  })

  it('sees two requests that are open at once', async () => {
    const server = await setting().homeserver({ behaviour: { kind: 'hang' } })
    const { send } = setting().sender()
    const abort = new AbortController()
    const one = { txnId: 'one', signal: abort.signal }
    const sending = [send(server.serverName, one), send(server.serverName, one)]
    await until(() => server.requests === 2, { what: 'both requests' })
    expect(server.mostOpenAtOnce).to.equal(2)
    abort.abort()
    await Promise.all(sending)
  })

  it('waits no longer with its answer once the sender has gone', async () => {
    const waits: Promise<void>[] = []
    const clock: Clock = {
      ...systemClock,
      sleep: (ms, signal) => {
        const wait = systemClock.sleep(ms, signal)
        waits.push(wait)
        return wait
      },
    }
    const server = await setting().homeserver({ behaviour: { kind: 'ok', delayMs: 3_600_000 }, clock })
    const abort = new AbortController()
    const sending = setting().sender().send(server.serverName, { signal: abort.signal })
    await until(() => waits.length === 1, { what: 'the server to dawdle' })
    abort.abort()
    await sending
    await waits[0]
    expect(server.transactions[0]).to.include({ answered: false })
  })
})
