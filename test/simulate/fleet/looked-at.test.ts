import { expect } from 'chai'
import { systemClock } from '../../../src/pace/clock.ts'
import { makePdu } from '../../../src/matrix/make-pdu.ts'
import { assembleTransaction } from '../../../src/matrix/transaction.ts'
import type { OtherContact } from '../../../src/simulate/fleet/fake-homeserver.ts'
import type { LookedAtRequest } from '../../../src/simulate/fleet/receiver.ts'
import { makeTransactionLog } from '../../../src/simulate/fleet/transaction-log.ts'
import { until } from '../../support/poll.ts'
import { origin, useSetting } from '../../wire/setting.ts'

describe('a fake homeserver that is watched', () => {
  const setting = useSetting()

  async function watched() {
    const requests: LookedAtRequest[] = []
    const contacts: OtherContact[] = []
    const server = await setting().homeserver({
      ...{ checkPdus: true, onRequest: (one) => requests.push(one), onOther: (one) => contacts.push(one) },
    })
    return { server, requests, contacts }
  }
  function pduText(body: string, depth?: number): { eventId: string; text: string } {
    const parts = { roomId: '!r:limpet.example', type: 'm.room.message', sender: `@u:${origin}` }
    const made = makePdu({ ...parts, originServerTs: 1, content: { body } }, setting().key, '11')
    return {
      ...made,
      text: depth === undefined ? made.text : made.text.replace('"depth":1', `"depth":${depth}`),
    }
  }

  it('tells of each request what is in it, what it objects to, and whether it came before', async () => {
    const { server, requests } = await watched()
    const { send } = setting().sender()
    const [good, bad] = [pduText('hello'), pduText('changed', 7)]
    const eduTexts = ['{"content":{},"edu_type":"m.typing"}']
    const pduTexts = [good.text, bad.text]
    const body = assembleTransaction({ origin, originServerTs: 1, pduTexts, eduTexts })
    for (let n = 0; n < 2; n++) await send(server.serverName, { txnId: 'one', body })
    const [first, again] = requests
    expect(first).to.include({ txnId: 'one', repeated: false, status: 200 })
    expect(first?.pdus.map(({ fault }) => fault)).to.deep.equal([
      null,
      `the signature of ${origin} does not match`,
    ])
    expect(first?.edus.map(({ type, fault }) => [type, fault])).to.deep.equal([['m.typing', 'no room_id']])
    expect(first?.objections).to.have.length(2)
    // It took what is right, and lists the other one with its fault.
    expect([...server.received.keys()]).to.deep.equal([good.eventId])
    expect(server.transactions[0]?.response).to.include(`"error":"the signature of ${origin} does not match"`)
    expect(again).to.include({ repeated: true, status: 200 })
    expect(again?.objections).to.deep.equal([])

    await send(server.serverName, { txnId: 'two', body: '{}' })
    expect(requests[2]).to.deep.include({ status: 400, pdus: [], edus: [] })
    expect(requests[2]?.objections).to.have.length(1)
  })

  it('tells of clients that do not trust it, and of what it does not serve', async () => {
    const { server, contacts } = await watched()
    const distrustful = setting().sender({ customCas: [] })
    expect(await distrustful.send(server.serverName)).not.to.include({ kind: 'answered' })
    await until(() => contacts.length > 0, { what: 'the client to be noticed' })
    expect(contacts[0]?.kind).to.be.oneOf(['no request', 'no handshake'])
  })

  it('remembers no more transactions than it is told to', () => {
    const log = makeTransactionLog({ keepBodies: false, most: 2 })
    for (const txnId of ['a', 'b', 'c']) {
      log.receive({
        txnId,
        body: '{}',
        pduIds: ['$e'],
        eduParts: [],
        originServerTs: 1,
        at: systemClock.now(),
      })
      log.answered(txnId, true)
    }
    expect(log.transactions.map(({ txnId }) => txnId)).to.deep.equal(['b', 'c'])
    expect(log.find('a')).to.equal(undefined)
    expect(log.violations).to.deep.equal([])
  })
})
