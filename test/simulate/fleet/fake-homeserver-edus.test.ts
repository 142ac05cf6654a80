import { expect } from 'chai'
import { errorPage, matrixError } from '../../../src/simulate/fleet/behaviour.ts'
import { keyOfPart } from '../../../src/simulate/fleet/edu-parts.ts'
import { hasMessageId, hasType, isMalformed, refusingEdus } from '../../../src/simulate/fleet/refuse-edus.ts'
import { origin, useSetting } from '../../wire/setting.ts'
import { ALICE, bodyOf, deviceList, presence, receipt, ROOM, signingKeys, toDevice, typing } from './edus.ts'

describe('the fake homeserver, sent EDUs', () => {
  const setting = useSetting()

  /** One with a sender: `send` gives the status of the answer. */
  async function started(options: Parameters<ReturnType<typeof setting>['homeserver']>[0] = {}) {
    const server = await setting().homeserver(options)
    const { send: sendTo } = setting().sender()
    const send = async (txnId: string, edus: readonly object[], more: Parameters<typeof bodyOf>[1] = {}) => {
      const result = await sendTo(server.serverName, { txnId, body: bodyOf(edus, more), eventIds: [] })
      return result.kind === 'answered' ? 200 : result.status
    }
    return { server, send, bob: `@bob:${server.serverName}` }
  }

  it('takes those that break a rule, as most real ones do, and writes down each, once', async () => {
    const { server, send, bob } = await started()
    const long = toDevice('x'.repeat(33), bob)
    const foreign = typing(true, { user: '@eve:elsewhere.example' })
    expect(await send('one', [typing(true), long, foreign])).to.equal(200)
    expect(await send('one', [typing(true), long, foreign])).to.equal(200)
    expect(server.violations).to.deep.equal([
      'EDU 1 (m.direct_to_device) of transaction one: a message_id of 33 code points',
      'EDU 2 (m.typing) of transaction one: the user is not of the origin',
    ])
    expect([server.edus.toDevice.size, server.edus.typing.size]).to.deep.equal([0, 1])
    expect([...server.edus.counts]).to.deep.equal([
      ['m.typing', 2],
      ['m.direct_to_device', 1],
    ])
  })

  it('writes down a number that is not canonical', async () => {
    const server = await setting().homeserver()
    const body = `{"edus":[{"content":{"a":1.0},"edu_type":"x"}],"origin":"${origin}","origin_server_ts":1,"pdus":[]}`
    await setting().sender().send(server.serverName, { txnId: 'one', body, eventIds: [] })
    expect(server.violations.join()).to.match(/^the EDUs of transaction one: .* at 0\.content\.a$/)
  })

  it('keeps to-device messages in the order of their first arrival, and notes those that come again', async () => {
    const { server, send, bob } = await started()
    await send('one', [toDevice('b', bob), toDevice('a', bob)])
    await send('one', [toDevice('b', bob), toDevice('a', bob)])
    await send('two', [toDevice('a', bob), toDevice('a', bob, `@carol:${origin}`), toDevice('c', bob)])
    const kept = [...server.edus.toDevice.values()]
    expect(kept.map(({ part, txnId, order }) => [part.sender, part.messageId, txnId, order])).to.deep.equal([
      [ALICE, 'b', 'one', 0],
      [ALICE, 'a', 'one', 1],
      [`@carol:${origin}`, 'a', 'two', 3],
      [ALICE, 'c', 'two', 4],
    ])
    const [again, ...more] = server.edus.repeats
    expect(again).to.include({ sender: ALICE, messageId: 'a', firstTxnId: 'one', txnId: 'two' })
    expect(more).to.deep.equal([])
  })

  it('takes nothing of a transaction that it refuses', async () => {
    const { server, send, bob } = await started({ behaviour: errorPage(500) })
    expect(await send('one', [toDevice('a', bob), { edu_type: 'x', content: 1 }])).to.equal(500)
    expect([server.edus.toDevice.size, server.edus.counts.size]).to.deep.equal([0, 0])
    server.behave({ kind: 'ok' })
    expect(await send('one', [toDevice('a', bob), { edu_type: 'x', content: 1 }])).to.equal(200)
    expect(server.edus.toDevice.size).to.equal(1)
    expect(server.violations).to.deep.equal(['EDU 1 (x) of transaction one: no content'])
  })

  it('follows the chain of a user’s device lists, and counts where it would ask for the list again', async () => {
    const { server, send } = await started()
    const other = `@other:${origin}`
    await send('one', [deviceList(1, []), deviceList(3, [1]), deviceList(4, [], other)])
    await send('two', [deviceList(7, [5]), deviceList(8, [7]), deviceList(3, [1]), deviceList(9, [])])
    await send('three', [deviceList(12, [9, 8]), deviceList(13, [12, 11]), deviceList(14, [4], other)])
    const links = [...server.edus.deviceLists.values()].map(({ part, link }) => [part.streamId, link])
    expect(links).to.deep.equal([
      [1, 'first'],
      [3, 'unbroken'],
      [4, 'first'],
      [7, 'broken'],
      [8, 'unbroken'],
      [9, 'broken'],
      [12, 'unbroken'],
      [13, 'broken'],
      [14, 'unbroken'],
    ])
    expect(server.edus.resyncs).to.equal(3)
  })

  it('would ask for the list where the first update that it sees refers to an earlier one', async () => {
    const { server, send } = await started()
    await send('one', [deviceList(5, [4]), deviceList(6, [5])])
    expect(server.edus.resyncs).to.equal(1)
  })

  it('knows who is typing, since when', async () => {
    const { server, send } = await started()
    await send('one', [typing(true), typing(true, { room: '!other:limpet.example' })])
    await send('two', [typing(false)], { originServerTs: 5 })
    const kept = [...server.edus.typing.values()]
    expect(
      kept.map(({ part, txnId, originServerTs }) => [part.roomId, part.typing, txnId, originServerTs]),
    ).to.deep.equal([
      ['!other:limpet.example', true, 'one', 1_700_000_000_000],
      [ROOM, false, 'two', 5],
    ])
    expect(kept[1]!.at).to.equal(server.transactions[1]!.requestsAt[0])
  })

  it('keeps receipts of different threads apart, and sees one of a thread behind the unthreaded', async () => {
    const { server, send } = await started()
    await send('one', [receipt('$1', 'main'), receipt('$2', '$root'), receipt('$3')])
    expect(server.edus.threadedLate).to.equal(0)
    await send('two', [receipt('$4', 'main')])
    expect(server.edus.threadedLate).to.equal(0)
    await send('three', [receipt('$5'), receipt('$6', 'main'), receipt('$7', 'main', { room: '!o:x' })])
    expect(server.edus.threadedLate).to.equal(1)
    const kept = [...server.edus.receipts.values()]
    expect(kept.map(({ part, order }) => [part.threadId, part.eventId, order])).to.deep.equal([
      ['$root', '$2', 1],
      [null, '$5', 4],
      ['main', '$6', 5],
      ['main', '$7', 6],
    ])
  })

  it('keeps the newest presence and cross-signing keys of each user', async () => {
    const { server, send } = await started()
    const bea = `@bea:${origin}`
    await send('one', [presence([ALICE, 'online'], [bea, 'online']), signingKeys('k1')])
    await send('two', [
      presence([ALICE, 'offline']),
      signingKeys('k2'),
      signingKeys('k2', 'org.matrix.signing_key_update'),
    ])
    const kept = [...server.edus.presence.values()].map(({ part }) => [part.userId, part.presence])
    expect(kept).to.deep.equal([
      [bea, 'online'],
      [ALICE, 'offline'],
    ])
    const keys = [...server.edus.signingKeys.values()].map(({ part, txnId }) => [part.type, txnId])
    expect(keys).to.deep.equal([
      ['m.signing_key_update', 'two'],
      ['org.matrix.signing_key_update', 'two'],
    ])
  })

  it('notes what tells of a room that it is not in, or is for another server’s users, also where it refuses', async () => {
    const { server, send, bob } = await started({
      ...{ behaviour: errorPage(500), inRoom: (room: string) => room === ROOM },
    })
    const away = receipt('$1', null, { room: '!away:x' })
    await send('one', [typing(true), away, toDevice('a', bob), toDevice('b', '@bob:elsewhere.example')])
    await send('one', [typing(true), away, toDevice('a', bob), toDevice('b', '@bob:elsewhere.example')])
    server.forgive()
    await send('two', [toDevice('c', `@bob:else:${server.serverName}`)])
    expect(server.edus.notEntitled).to.deep.equal([
      'EDU 1 (m.receipt) of transaction one tells of !away:x',
      'EDU 3 (m.direct_to_device) of transaction one is for @bob:elsewhere.example',
      `EDU 0 (m.direct_to_device) of transaction two is for @bob:else:${server.serverName}`,
    ])
    expect(server.violations).to.deep.equal([])
  })

  it('refuses a whole transaction for a poison EDU, or one that it can’t read', async () => {
    const { server, send, bob } = await started({ behaviour: refusingEdus(hasMessageId('bad')) })
    expect(await send('one', [toDevice('good', bob)])).to.equal(200)
    expect(await send('two', [toDevice('good2', bob), toDevice('bad', bob)])).to.equal(500)
    server.forgive()
    server.behave(refusingEdus(hasType('m.presence'), matrixError(400, 'M_BAD_JSON')))
    expect(await send('three', [presence([ALICE, 'online'])])).to.equal(400)
    expect(await send('four', [typing(true)])).to.equal(429)
    server.forgive()
    server.behave(refusingEdus(isMalformed, undefined, () => errorPage(502)))
    expect(await send('five', [{ edu_type: 'x' }])).to.equal(500)
    server.forgive()
    expect(await send('six', [typing(true)])).to.equal(502)
    expect([...server.edus.toDevice.values()].map(({ part }) => part.messageId)).to.deep.equal(['good'])
  })

  it('lets the search for what it refuses go on with EDUs as with PDUs, and nothing else', async () => {
    const { server, send, bob } = await started({ behaviour: refusingEdus(hasMessageId('bad')) })
    const bad = toDevice('bad', bob)
    expect(await send('one', [bad])).to.equal(500)
    // Refused once, for the first time: nothing may follow yet.
    expect(await send('early', [typing(true)])).to.equal(429)
    expect(await send('one', [bad])).to.equal(500)
    expect(await send('one', [bad])).to.equal(500)
    expect(await send('empty', [])).to.equal(200)
    // Alone again, with what it was refused with before: after that anything may come.
    expect(await send('alone', [bad])).to.equal(500)
    expect(await send('next', [typing(true)], { pduIds: ['$a'] })).to.equal(200)
    expect(server.violations).to.deep.equal(['transaction early came while one was unanswered'])
  })

  it('says when a transaction was put together, though its EDUs come first in its text', async () => {
    const { server, send } = await started()
    await send('one', [typing(true)], { originServerTs: 77 })
    expect(server.transactions[0]).to.include({ originServerTs: 77, edus: 1 })
  })

  it('names a part as what replaces it is named', () => {
    const part = { kind: 'receipt', roomId: '!r', type: 'm.read', userId: '@a:x', threadId: null } as const
    const keys = [part, { ...part, threadId: 'main' }].map((one) =>
      keyOfPart({ ...one, eventId: '$e', ts: 1 }),
    )
    expect(keys).to.deep.equal(['receipt !r m.read @a:x -', 'receipt !r m.read @a:x main'])
  })
})
