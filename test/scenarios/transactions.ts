/** Scenarios 1 to 21: transactions, failures and waits. */
import { by, ofEdus, type Row } from './row.ts'

const ANSWERS = by('answers/cases', 'what becomes of each answer to a transaction')
const SAME_BYTES =
  'whose answer was lost gets the same id and the same bytes, and what came meanwhile under a new id'
const killed =
  'kill -9 at ${KILLS} random moments: everything arrives where it belongs, once and in order, under the id and bytes of its first time'
const RECEIPT_UNANSWERED =
  'PostgreSQL is stopped (immediate) and those that deliver are killed, with a receipt in an unanswered transaction: the same bytes go again under the same id'
const ALONE = 'gives each destination one sender at a time: two that deliver, one stopped in the middle'

export const TRANSACTIONS: readonly Row[] = [
  {
    id: '1',
    given: 'one remote server in the room; a PDU is ingested',
    seen: 'one transaction with it; its X-Matrix signature verifies and names the destination',
    asserts: ['expect(remote.transactions).to.have.length(1)', 'expect(remote.violations).to.deep.equal([])'],
    by: [
      ...by('e2e/live', 'brings one event to the one server in its room, signed and in one transaction'),
      ...by(
        'wire/send',
        'is signed so that tweetnacl agrees, for this destination, and answered for each PDU',
      ),
    ],
  },
  {
    id: '2',
    given: 'a server is down while 70 PDUs, or 113 sticky ones before it joins, come to wait for it',
    seen: 'when it is up they go in stream order, at most 50 a transaction (50, 50 and 13)',
    asserts: [
      'expect([...remote.received.keys()]).to.deep.equal(ids(events))',
      'expect(remote.transactions.map(({ pduIds }) => pduIds.length)).to.deep.equal([50, 50, 13])',
    ],
    by: [
      ...by('e2e/catch-up', 'gets a young backlog whole, however large'),
      ...by(
        'e2e/sticky',
        'go to a server that joins, from before it joined, 50 a transaction in stream order, though nobody sends anything more',
      ),
      ...by('simulate/fleet/fake-homeserver', 'refuses more than 50 PDUs and more than 100 EDUs'),
    ],
  },
  {
    id: '3',
    given: 'more than 100 EDUs wait',
    seen: 'no transaction has more than 100 EDUs',
    asserts: [
      'expect(() => assembleTransaction({ ...head, pduTexts: [], eduTexts: many(101) })).to.throw(RangeError)',
    ],
    by: [
      ...by('matrix/transaction', 'takes 50 PDUs and 100 EDUs and not one more'),
      ...ofEdus('that wait are at most 100 a transaction beside at most 50 PDUs, and all arrive in order'),
    ],
  },
  {
    id: '4',
    given: 'many PDUs and EDUs wait together',
    seen: 'each transaction keeps both limits, and EDUs leave room for PDUs',
    asserts: ['expect([body.pdus.length, body.edus.length]).to.deep.equal([50, 100])'],
    by: [
      ...by('matrix/transaction', 'takes 50 PDUs and 100 EDUs and not one more'),
      ...ofEdus('that wait are at most 100 a transaction beside at most 50 PDUs, and all arrive in order'),
    ],
  },
  {
    id: '5',
    given: 'more PDUs come while a transaction is unanswered, and two processes deliver',
    seen: 'no server ever has two requests open at once, nor two ids unanswered',
    asserts: ['expect(remote.mostOpenAtOnce).to.equal(1)', 'expect(got()).to.deep.equal(ids(events))'],
    by: [
      ...by('e2e/processes', ALONE),
      ...by(
        'e2e/follow',
        'gets all in order, one id at a time, without another turn, and it is written down',
      ),
    ],
  },
  {
    id: '6',
    given: 'a server takes a transaction and closes the connection before it answers',
    seen: 'the same id and the same bytes again; what came meanwhile under another id',
    asserts: [
      'expect(remote.transactions.map(({ pduIds }) => pduIds)).to.deep.equal([[first.eventId], [second.eventId]])',
      "expect(server.received.get('$a')?.times).to.equal(1)",
    ],
    by: [
      ...by('e2e/trouble', SAME_BYTES),
      ...by('wire/send', 'repeats a transaction with a fresh signature and the same bytes'),
      ...by('chaos/loss', RECEIPT_UNANSWERED),
    ],
  },
  {
    id: '7',
    given: 'processes are killed (kill -9) at any moment of traffic, and started again',
    seen: 'what was in flight goes under its first id with its first bytes; all arrives, and in order',
    asserts: ['await stage.settled()'],
    by: by('chaos/kill', killed),
  },
  {
    id: '8',
    given: 'a 200 says of one PDU that it is in error',
    seen: 'the transaction is done, the error is kept and shown, and the PDU does not go again',
    asserts: [
      'expect(errors).to.deep.equal(one.pduError === undefined ? null : { [eventId]: one.pduError })',
      'expect(kept).to.equal(one.transaction)',
    ],
    by: [...ANSWERS, ...by('wire/send', 'reads errors of single PDUs, and an answer without any')],
  },
  {
    id: '9',
    given: 'many large to-device messages wait',
    seen: 'no body is larger than the limit, and all of them arrive',
    asserts: [
      "for (const { body } of remote.transactions) expect(Buffer.byteLength(body ?? '')).to.be.at.most(limit)",
    ],
    by: [
      ...by(
        'deliver/rules/plan',
        'what does not fit waits, and nothing after it goes: a prefix is acknowledged',
      ),
      ...ofEdus('that are large go in bodies within the limit, and all arrive in order'),
    ],
  },
  {
    id: '10',
    given: 'a server, or a proxy before it, answers 413 to what is large for it',
    seen: 'smaller transactions until they are taken; nothing is lost, and the limit is remembered',
    asserts: [
      "await until(() => hasAll(events), { what: 'all of them' })",
      'expect(remote.requests).to.equal(requests + 1)',
    ],
    by: [
      ...by(
        'e2e/isolation',
        'a proxy that takes no more than so many bytes teaches a limit, without a search',
      ),
      ...by(
        'deliver/edus-refused',
        'one that is too large alone is set aside, and all others arrive under the limit that it teaches',
      ),
    ],
  },
  {
    id: '11',
    given: 'a server answers 400, 403 or 500 whenever one certain PDU of 50 is inside',
    seen: 'that one is found and set aside, visibly; the others arrive, each room in order',
    asserts: [
      'expect(order).to.deep.equal(order.toSorted((a, b) => a - b))',
      "await until(() => hasAll(others), { what: 'all the others' })",
      "expect(await outcome(poison)).to.equal('set_aside')",
    ],
    by: [
      ...by(
        'e2e/isolation',
        'is found among 50 by ${status}, set aside, and everything else arrives in order',
      ),
      ...by('e2e/quarantine', 'shows what is refused, and has it tried at once'),
    ],
  },
]

export const BACKOFF: readonly Row[] = [
  {
    id: '12',
    given: 'a server fails again and again',
    seen: 'waits of 5 s, 10 s, 20 s … up to 8 h, each 1 ± jitter; kept in the database',
    asserts: [
      '[3, 20 * SECOND]',
      '[14, 8 * HOUR]',
      'expect(rows).to.deep.equal([{ wait: 6_000 + 1_000 + 1_000 }])',
    ],
    by: [
      ...by(
        'deliver/rules/backoff',
        'is ${expected / SECOND} s after ${failures} failure(s)',
        'waits 1 ± jitter of that',
        'the wait before the next attempt (interval)',
      ),
      ...by(
        'e2e/turn',
        'counts the wait after a failure from its end, also where its beginning took long to be written',
      ),
    ],
  },
  {
    id: '13',
    given: 'servers that have failed for very long',
    seen: 'no wait beyond its longest, after 10,000 failures either; a dead one is tried once a week; one that is owed nothing is not connected to',
    asserts: ['[10_000, 8 * HOUR]', 'expect(connected).to.equal(0)'],
    by: [
      ...by(
        'deliver/rules/backoff',
        'the wait before the next attempt (interval)',
        'waits a week, 1 ± jitter',
      ),
      ...by('e2e/turn', 'for each of 1,000 that fail, and are owed nothing, connects to none of them'),
    ],
  },
  {
    id: '14',
    given: 'another PDU comes for a server that is backing off',
    seen: 'no request before its time',
    asserts: ['expect(remote.requests).to.equal(1)'],
    by: by('e2e/deadline', 'is left alone for one that is not sticky, and when it has failed for an hour'),
  },
  {
    id: '15',
    given: 'a 429 that asks for 70 minutes',
    seen: 'no attempt before that, whatever comes, but for an operator who resets; it is told apart from other failures',
    asserts: ['remote.behave(tooManyRequests(70 * MINUTE))', 'expect(requests).to.equal(1)'],
    by: [
      ...by(
        'e2e/trouble',
        'is left alone as long as its 429 asks for, by everybody but an operator who resets it',
      ),
      ...by('deliver/rules/outcome', 'status 429: busy, with the time it asks for'),
    ],
  },
  {
    id: '16',
    given: '401 or 403 to everything, an empty transaction too',
    seen: 'not taken for one bad PDU: it is tried in an hour, then in two, and gets everything once it lets us in',
    asserts: [
      'expect(await apart()).to.deep.equal([])',
      "await until(() => hasAll(events), { what: 'everything' })",
      "expect(await state()).to.equal('refused')",
    ],
    by: [
      ...by(
        'e2e/isolation',
        '403 to everything, an empty transaction too, concludes nothing: it is tried in an hour, then in two',
      ),
      ...by(
        'e2e/lets-nobody-in',
        'by ${answer}, for a night: nothing is concluded, and it gets everything at its next attempt',
        'by 401 in the middle of a search, for a night: nothing is concluded, and the search ends when it lets us in',
        'is tried for a sticky event before that lapses, and its wait stays as it was',
      ),
    ],
  },
  {
    id: '17',
    given: 'a 410',
    seen: 'gone: not tried before 24 hours are over, unless it seems to be up',
    asserts: ['to.be.within(23 * HOUR, 24 * HOUR)', 'expect(remote.requests).to.equal(1)'],
    by: [
      ...by('e2e/trouble', 'that is gone (410) is tried again after a day, or when it seems to be up'),
      ...by('deliver/rules/outcome', 'status 410: gone'),
    ],
  },
  {
    id: '18',
    given: 'a 200 with a page of HTML, with nothing, or with a list',
    seen: 'a failure: the same bytes go again',
    asserts: ["expect(result).to.include({ kind: 'failed', stage, status, handed: true })"],
    by: [...ANSWERS, ...by('wire/send', 'counts ${what} as a failure')],
  },
  {
    id: '19',
    given: 'a server that is backing off seems to be up (`server_up`)',
    seen: 'an attempt within 5 s; if that fails the next advice counts after a minute, doubling to an hour',
    asserts: ['expect(first).to.be.below(5 * SECOND)', 'const minutes = [1, 2, 4, 8, 16, 32, 60]'],
    by: by('e2e/server-up', 'is tried within five seconds, then a minute later, and so on up to an hour'),
  },
  {
    id: '20',
    given: 'a server has failed for more than 30 days',
    seen: 'what it is owed is kept, and arrives when it is up again',
    asserts: ["await until(() => remote.received.has(event.eventId), { what: 'what it was owed' })"],
    by: by(
      'e2e/dead',
      'is dead: tried once a week, and told apart, until `server_up` or an operator has it answer',
    ),
  },
  {
    id: '21',
    given: 'a slow, a hanging and a dead server beside a healthy one',
    seen: 'the healthy one gets each PDU without waiting for them',
    asserts: [
      "others[1].behave({ kind: 'hang' })",
      'await until(() => remote.received.has(event.eventId), { what: `event ${n}`, withinMs: 40_000 })',
    ],
    by: [
      ...by('e2e/trouble', 'does not delay the others: slow, hanging and dead ones beside a healthy one'),
      ...by(
        'chaos/silent',
        'a remote: its requests time out, others go on, and it gets everything once it speaks again',
      ),
    ],
  },
]
