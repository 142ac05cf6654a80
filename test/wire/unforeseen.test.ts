import { expect } from 'chai'
import { systemClock } from '../../src/pace/clock.ts'
import { makeRemotes, type SendNeeds } from '../../src/wire/send.ts'
import type { Reach } from '../../src/wire/send-result.ts'
import { makeResolveTarget } from '../support/resolve-target.ts'
import { connectAndSend, type TextRequest } from '../support/connect-and-send.ts'
import { answer, startRawRemote } from './raw-remote.ts'
import { aBody, name, origin, useSetting } from './setting.ts'

const boom = () => {
  throw new TypeError('boom\u001b[2J')
}

describe('what nobody foresaw in an attempt is an outcome, told once in the log', () => {
  const setting = useSetting()

  const unforeseen: [string, Partial<SendNeeds>, Partial<Reach & TextRequest>, boolean][] = [
    ['before connecting', { resolveTarget: boom }, {}, false],
    ['while asked whether we may', {}, { stillHeld: boom }, false],
    ['in the time', { clock: { ...systemClock, now: boom } }, {}, true],
    ['in the ids', {}, { eventIds: 7 as unknown as string[] }, true],
    ['in the key', { key: null as unknown as SendNeeds['key'] }, {}, false],
    ['in the signal', {}, { signal: null as unknown as AbortSignal }, false],
  ]
  for (const [where, needs, request, handed] of unforeseen) {
    it(`${where}; a byte ${handed ? 'may have' : 'has not'} left`, async () => {
      const { send, told, requests, inUse } = await sender(needs)
      const result = await send(request)
      expect(result).to.include({ kind: 'failed', stage: 'internal', status: null, handed })
      expect(result.kind === 'failed' && result.message).to.match(
        /^internal error \(see limpet's log\): [ -~]+$/,
      )
      expect(told).to.have.length(1)
      expect(requests()).to.equal(handed ? 1 : 0)
      expect(inUse(), 'no connection is left under way').to.equal(0)
    })
  }

  it('also where what is thrown can not be looked at', async () => {
    const odd = new Proxy(new Error('x'), { get: boom, has: boom, getPrototypeOf: boom })
    const { send } = await sender({ resolveTarget: () => Promise.reject(odd) })
    expect(await send({})).to.include({ kind: 'failed', stage: 'internal', handed: false })
  })

  async function sender(more: Partial<SendNeeds>) {
    const remote = await startRawRemote(await setting().authority.issue(), ({ socket }) =>
      socket.write(answer()),
    )
    setting().closing(() => remote.close())
    const { connections } = setting().sender()
    const told: unknown[] = []
    const log = { debug: () => undefined, error: (what: unknown) => told.push(what) }
    const resolveTarget = makeResolveTarget({ lookup: () => Promise.reject(new Error('not asked')) })
    const needs = {
      connections,
      resolveTarget,
      key: setting().key,
      origin,
      clock: systemClock,
      log,
      userAgent: 'x',
    }
    const send = connectAndSend(makeRemotes({ ...needs, ...more }))
    const request: Reach & TextRequest = {
      ...{ destination: name(remote.serverName), txnId: 't', body: aBody('$a'), eventIds: ['$a'] },
      ...{ timeoutMs: 20_000, stillHeld: () => true, signal: new AbortController().signal },
    }
    return {
      send: (over: Partial<Reach & TextRequest>) => send({ ...request, ...over }),
      told,
      requests: () => remote.requests.length,
      inUse: () => connections.counts().inUse,
    }
  }
})
