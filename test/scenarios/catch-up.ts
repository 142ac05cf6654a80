/** Scenarios 22 to 32: a destination that fell behind. */
import { by, ofEdus, type Row } from './row.ts'

const NEWEST =
  'gets, of an old and large backlog, unexpired sticky events first and then the newest of each room, oldest first'

export const CATCH_UP: readonly Row[] = [
  {
    id: '22',
    given: 'a server missed PDUs of several rooms',
    seen: 'what it is owed is shown room by room, with the newest position in each',
    asserts: ["rooms: [{ room_id: '!a:us', pending_pdus: 1, latest_position: 1, pending_sticky: 0 }]"],
    by: [
      ...by(
        'store/views/count-pending',
        'in a gap counts the newest of each room and what came for it alone, then real time',
      ),
      ...by('http/admin/routes', 'lists rooms and attempts, the newest attempt first'),
    ],
  },
  {
    id: '23',
    given: 'an attempt is answered, or fails',
    seen: 'an answer moves the position; a failure leaves everything owed',
    asserts: [
      '[{ position: 9, attempt_seq: 1, last_attempt: secondAt }]',
      'expect(kept).to.equal(one.transaction)',
    ],
    by: [
      ...by(
        'store/delivery/acknowledge-and-freeze',
        'acknowledges what was answered in the commit that freezes the next',
      ),
      ...by('answers/cases', 'what becomes of each answer to a transaction'),
    ],
  },
  {
    id: '24',
    given: 'limpet is killed and started while a large backlog waits',
    seen: 'catch-up, sticky events first, and then real time; it does not begin with the newest PDU alone',
    asserts: [
      'if (rough) await limpet.kill9()',
      'expect(came.filter((eventId) => stickyOnes.includes(eventId))).to.deep.equal(stickyOnes)',
    ],
    by: by(
      'interop/catch-up',
      "B is away, much is said on A${rough ? ', limpet is killed twice and A restarted' : ''}",
      'they came in the order in which Alice sent them, the quiet room’s first',
      'the newest of each room is in Bob’s timeline, and the timeline goes on, in both directions',
    ),
  },
  {
    id: '25',
    given: 'several rooms are behind',
    seen: 'the newest PDU of each, the room that was quiet longest first; one room a transaction, doubling; then real time',
    asserts: [
      'const expected = ids([quiet, quietNewest, busy[29]!, second[9]!])',
      'expect(remote.transactions.map(({ pduIds }) => pduIds.length)).to.deep.equal(sizes)',
    ],
    by: by('e2e/catch-up', NEWEST, 'starts a gap at one room a transaction and doubles'),
  },
  {
    id: '26',
    given: 'others have said something in a room after our newest PDU',
    seen: 'our newest PDU goes, and the remote server asks for what lies between',
    asserts: ['expect(saidInBusy.filter((eventId) => !read.includes(eventId))).to.deep.equal([])'],
    by: by('interop/catch-up', 'what catch-up passed by is there for Bob when he pages back'),
    missing: {
      ...{ when: 'not planned', contract: '5.4', says: 'the newest PDU it is entitled to' },
      why: "that events of others, which are the room's forward extremities by then, are sent in the place of ours, as Synapse does: limpet holds only what our own homeserver sends, the specification asks a sender for no more, and from the `prev_events` of our newest PDU and of the next one the receiver finds the rest",
    },
  },
  {
    id: '27',
    given: 'many servers are due when limpet starts',
    seen: '50 a second are woken, the first at once, and each once',
    asserts: [
      'expect(woken).to.deep.equal(numbers(1, 50))',
      'expect(transactions.map(({ requestsAt }) => requestsAt.length)).to.deep.equal([2])',
    ],
    by: [
      ...by(
        'store/delivery/due',
        'wakes so many a second, the first at once, and does not save up what it did not use',
      ),
      ...by('e2e/dead', 'are tried `ramp_per_second` by each process, after a start'),
    ],
  },
  {
    id: '28',
    given: 'a server that could never be reached comes up',
    seen: 'it gets what it is owed',
    asserts: ["await until(() => remote.received.size === 20, { what: 'all 20' })"],
    by: [
      ...by('e2e/catch-up', 'gets a backlog up to the threshold whole, in stream order'),
      ...by('e2e/owed-plain-names', 'comes at once, in turn, and none is lost'),
    ],
  },
  {
    id: '29',
    given: 'a server left the room, or was kicked, while it was down',
    seen: 'it gets the event that ended its membership and nothing after',
    asserts: ['expect([...remote.received.keys()]).to.have.members(ids([kick, ...rescinded, other[9]!]))'],
    by: [
      ...by(
        'e2e/catch-up',
        'never skips what was addressed to a server outside the room, and sends a kicked server its kick and nothing after',
      ),
      ...by('e2e/follow', 'gets its kick and nothing after it, and what is sent after it was invited back'),
    ],
  },
  {
    id: '30',
    given: 'a to-device message waits beside a catch-up of hundreds of rooms',
    seen: 'it goes in the first transactions',
    asserts: ["expect(first?.edus?.map(({ edu_type }) => edu_type)).to.deep.equal(['m.direct_to_device'])"],
    by: ofEdus('beside a catch-up of hundreds of rooms go in its first transactions'),
  },
  {
    id: '31',
    given: 'a room that a server missed is purged meanwhile',
    seen: 'nothing of it goes, it is counted, and the catch-up ends',
    asserts: ['expect(d.rooms()).to.deep.equal([C, LAST])', `'given_up_total{why="purge"}': 2`],
    by: [
      ...by(
        'deliver/meanwhile',
        'stays open for the rooms that are left when two are purged while it is looked up',
      ),
      ...by('e2e/retention', 'is not told what was redacted or purged meanwhile'),
      ...by('e2e/metrics', 'count what ingest took, why something was left out, and what a purge gave up'),
    ],
  },
  {
    id: '32',
    given: 'two servers cannot reach each other, both go on, and then they can',
    seen: 'each has what the other said, as far as it is entitled to it',
    asserts: ['await bob.seeAll(room, [said, later])', "await seesMember(a, room, carol.userId, 'leave')"],
    by: by(
      'interop/fork',
      'A and B cannot reach each other: Bob kicks Carol, and Alice, who does not know, says something',
    ),
  },
]
