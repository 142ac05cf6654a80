/** The crash tests' judge of EDUs: what it must find, planted. */
import { expect } from 'chai'
import type { EduToTell } from '../../src/simulate/story/edu-told.ts'
import type { LoggedTransaction } from '../../src/simulate/fleet/transaction-log.ts'
import { eduFaultsOf, stillMissingEdus } from './edu-verdict.ts'
import { makeLedger } from './ledger.ts'

const R = '!room:home.example'
const ALICE = '@alice:home.example'
/** When everything was told. */
const TOLD = 1_000_000
const SHORT_MS = 1_000
const SOON = TOLD + 1
const TOO_LATE = TOLD + SHORT_MS

const message = (id: string, server = 'x'): EduToTell => ({
  ...{ type: 'edu', edu_type: 'm.direct_to_device', destinations: [server] },
  content: { sender: ALICE, type: 'm.room_key', message_id: id, messages: { [`@bob:${server}`]: { D: {} } } },
})
const devices = (streamId: number): EduToTell => ({
  ...{ type: 'edu', edu_type: 'm.device_list_update', rooms: [R] },
  content: { user_id: ALICE, device_id: `D${streamId}`, stream_id: streamId },
})
const receipt = (id: string, user = ALICE, own: Pick<EduToTell, 'ttl_ms'> = {}): EduToTell => ({
  ...{ type: 'edu', edu_type: 'm.receipt', rooms: [R] },
  content: { [R]: { 'm.read': { [user]: { event_ids: [`$${id}`], data: { ts: 1 } } } } },
  ...own,
})
const typing = (is: boolean): EduToTell => ({
  ...{ type: 'edu', edu_type: 'm.typing', rooms: [R] },
  content: { room_id: R, user_id: ALICE, typing: is },
})

const M1 = message('m1')
const M2 = message('m2')
const R1 = receipt('r1')
const R2 = receipt('r2')
const BOBS = receipt('b', '@bob:home.example', { ttl_ms: SHORT_MS })
const AWAY = receipt('away')

/** All are told while x is in the room, but `AWAY`. */
function ledgerOf(...told: EduToTell[]) {
  const ledger = makeLedger()
  for (const item of told) {
    if (item === AWAY) ledger.leave(R, 'x')
    else ledger.join(R, 'x')
    ledger.tell(item)
  }
  ledger.taken({ at: TOLD, takenAt: TOLD })
  return ledger.edus
}

interface Sent {
  edus: readonly EduToTell[]
  originServerTs?: number
  isProcessed?: boolean
}

const remote = (sent: readonly Sent[]) => ({
  serverName: 'x',
  transactions: sent.map(({ edus, originServerTs = SOON, isProcessed = true }, n): LoggedTransaction => ({
    ...{ txnId: `t${n}`, sha256: null, bytes: 0, pduIds: [], edus: edus.length, originServerTs },
    body: JSON.stringify({ edus: edus.map(({ edu_type, content }) => ({ edu_type, content })) }),
    ...{ requestsAt: [n], response: isProcessed ? '{}' : null, answered: isProcessed, forgiven: false },
  })),
})
const sent = (...transactions: EduToTell[][]) => remote(transactions.map((edus) => ({ edus })))

describe('the judge of the crash tests, of EDUs', () => {
  const claims = ledgerOf(M1, R1, AWAY, M2, R2, BOBS)

  it('has nothing against what came in order, and asks only for the newest of what is replaced', () => {
    for (const one of [
      sent([M1, M2, R2, BOBS]),
      sent([M1, R1], [M2, R2], [BOBS]),
      sent([M1], [R1, BOBS, R2], [M2]),
    ]) {
      expect(stillMissingEdus(one, claims, SOON)).to.deep.equal([])
      expect(eduFaultsOf(one, claims)).to.deep.equal([])
    }
  })

  it('misses durable ones for ever, and others until their time is over', () => {
    const one = sent([M1, R1])
    const missing = (now: number) => stillMissingEdus(one, claims, now).map((name) => name.split(' ')[0])
    expect(missing(SOON)).to.deep.equal(['to-device', 'receipt', 'receipt'])
    expect(missing(TOO_LATE)).to.deep.equal(['to-device', 'receipt'])
    expect(missing(TOLD + 100 * 3_600_000)).to.deep.equal(['to-device'])
    expect(eduFaultsOf(one, claims)).to.deep.equal([])
    const refused = remote([{ edus: [M1, M2, R2, BOBS], isProcessed: false }])
    expect(stillMissingEdus(refused, claims, SOON)).to.have.length(4)
  })

  it('misses the last word of who types, though the same was said before', () => {
    const said = ledgerOf(typing(false), typing(true), typing(false))
    expect(stillMissingEdus(sent([typing(false)], [typing(true)]), said, SOON)).to.have.length(1)
    expect(stillMissingEdus(sent([typing(true)], [typing(false)]), said, SOON)).to.have.length(0)
  })

  it('misses no device lists of which a receiver has to ask for the whole list anyway', () => {
    const all = Array.from({ length: 25 }, (_, n) => devices(n))
    const said = ledgerOf(...all)
    for (const [came, missing] of [
      [all.slice(-1), 0],
      [all.slice(10), 10],
    ] as const) {
      expect(stillMissingEdus(sent([...came]), said, SOON)).to.have.length(missing)
      expect(eduFaultsOf(sent([...came]), said)).to.have.length(missing === 0 ? 0 : 1)
    }
  })

  const faults: [string, ReturnType<typeof remote>, RegExp][] = [
    ['a message under two ids', sent([M1], [M1, M2]), /m1 came in transaction t0 and in t1$/],
    ['a message twice in one transaction', sent([M1, M1]), /m1 came in transaction t0 and in t0$/],
    ['messages out of order', sent([M2, M1]), /^out of order: \S+ \S+ m2 came in the place of .*m1$/],
    ['a message that was left out', sent([M2]), /^out of order: \S+ \S+ m2 came in the place of .*m1$/],
    ['a message of another server', sent([message('m3', 'y')]), /m3 was not meant for it/],
    ['a receipt of a time when it was not there', sent([M1, AWAY]), /\$away 1 was not meant for it/],
    ['a receipt under two ids', sent([R2], [R2]), /\$r2 1 came once too often, or late, in transaction t1$/],
    ['a receipt after a newer one', sent([R2], [R1]), /\$r1 1 came once too often, or late/],
    [
      'a receipt in a transaction of after its time',
      remote([{ edus: [BOBS], originServerTs: TOO_LATE }]),
      /\$b 1 was put into transaction t0 after its time$/,
    ],
  ]
  for (const [what, one, fault] of faults)
    it(`finds ${what}`, () => {
      const found = eduFaultsOf(one, claims)
      expect(
        found.filter((text) => fault.test(text)),
        found.join('\n'),
      ).to.have.length(1)
    })
})
