/** Scenarios 33 to 39, and what MSC4354 asks of a sender. */
import { by, type Row } from './row.ts'

const NEWEST =
  'gets, of an old and large backlog, unexpired sticky events first and then the newest of each room, oldest first'
const JOIN =
  'go to a server that joins, from before it joined, 50 a transaction in stream order, though nobody sends anything more'
const DEADLINE =
  'is tried at 1/2, 3/4 and 7/8 of its life, and gets it, though it was down for four fifths of that'
const JOINED =
  'Carol joins, and nobody says anything more: all of them, from before she came, are in her /sync'
const JOINED_ROOM = '${COUNT} sticky events in a room with history visibility “joined”'
const BYSTANDER =
  'Carol joins through B; B’s limpet tells A, and A’s sends her the three before C knows the room'
const NONE_OWED = 'not where none is sticky: none of ours, flagged, lapsed, redacted, or in another room'
const NOT_REPLAYED =
  'that are not ours, not sticky any more, flagged, redacted or of another room are not replayed'
const LAPSED = 'what lapsed was not replayed: limpet says so, and B’s database does not have it'
const ASKED = 'that asked for no requests gets none before that, and what it missed is counted'
const FAILURE_STAYS = by('answers/cases', 'what becomes of each answer to a transaction')

export const STICKY: readonly Row[] = [
  {
    id: '33',
    given: 'a sticky event and then much more is said while a server is down',
    seen: 'catch-up passes much of it by, but the sticky event arrives, before the newest PDU of its room',
    asserts: ['const expected = ids([quiet, quietNewest, busy[29]!, second[9]!])'],
    by: [
      ...by('e2e/catch-up', NEWEST),
      ...by(
        'interop/catch-up',
        'B starts: all that is still sticky is in Bob’s /sync, as sticky, the quiet room’s too',
      ),
    ],
  },
  {
    id: '34',
    given: 'a sticky event in a quiet room, before much that is said in other rooms',
    seen: 'it arrives all the same',
    asserts: ['expect(came.filter((eventId) => stickyOnes.includes(eventId))).to.deep.equal(stickyOnes)'],
    by: [
      ...by('e2e/catch-up', NEWEST),
      ...by('interop/catch-up', 'they came in the order in which Alice sent them, the quiet room’s first'),
    ],
  },
  {
    id: '35',
    given: 'a server joins a room, through us or through another server',
    seen: 'it gets our sticky events from before, none of others, and nobody need say anything for it',
    asserts: [
      "await until(() => remote.received.size === 113, { what: 'all 113' })",
      'expect(await newestIn(a, room)).to.equal(meanwhile)',
      'expect([...remote.received.keys()]).to.deep.equal([mine.eventId])',
    ],
    by: [
      ...by('e2e/sticky', JOIN, NOT_REPLAYED),
      ...by(
        'interop/join',
        BYSTANDER,
        'C’s join is answered, and nobody says anything more: all four are in Carol’s /sync, as sticky',
      ),
    ],
  },
  {
    id: '36',
    given: '113 sticky events wait for a server that joins',
    seen: '50, 50 and 13, in stream order, one transaction at a time',
    asserts: [
      'expect(remote.transactions.map(({ pduIds }) => pduIds.length)).to.deep.equal([50, 50, 13])',
      'expect(remote.violations).to.deep.equal([])',
    ],
    by: by('e2e/sticky', JOIN),
  },
  {
    id: '37',
    given: 'a sticky event lapses while its destination is down',
    seen: 'it is not replayed and counts as lapsed; its room catches up all the same',
    asserts: [
      "to.include({ outcome: 'lapsed' })",
      'expect(arrivedIds(a, b, { roomId: loud })).not.to.include(lapsed)',
    ],
    by: [...by('e2e/catch-up', NEWEST), ...by('interop/catch-up', LAPSED)],
  },
  {
    id: '38',
    given: 'the room’s history is visible to members only; or an event is redacted, or flagged',
    seen: 'who joins gets what is sticky all the same; what is redacted or flagged is not replayed',
    asserts: [
      'expect((await stickyHeld(c, sticky)).size).to.equal(COUNT)',
      'expect(await world.owed()).to.deep.equal([])',
    ],
    by: [
      ...by('interop/many-sticky', JOINED_ROOM, JOINED),
      ...by('e2e/sticky', NOT_REPLAYED),
      ...by('ingest/sticky-owed', NONE_OWED),
    ],
  },
  {
    id: '39',
    given: 'something sticky is owed to a server whose backoff ends after it lapses',
    seen: 'it is tried at 1/2, 3/4 and 7/8 of the life that is left, and the backoff stays; never where it asked for no requests',
    asserts: [
      'expect((await row()).now - before.now).to.be.below(5 * MINUTE)',
      "await until(async () => (await lapsed()) === 1, { what: 'the count' })",
    ],
    by: by('e2e/deadline', DEADLINE, ASKED),
  },
]

export const STICKY_DUTIES: readonly Row[] = [
  {
    id: 'K1',
    given: 'an event with `sticky.duration_ms` (or `msc4354_sticky`)',
    seen: 'sticky if that is an integer above 0; else an ordinary event',
    by: by('matrix/sticky', "with ${fields} is sticky until ${expected ?? 'never'}"),
  },
  {
    id: 'K2',
    given: 'when its stickiness begins and ends',
    seen: 'from the earlier of sent and received, for its duration, and no longer than the cap of 1 h',
    by: by(
      'ingest/sticky-owed',
      "from when it was sent, if that is before it came: a sender's slow queue is no gift",
      'from when it came, if it was sent in the future',
      'no longer than the cap',
    ),
  },
  {
    id: 'K3',
    given: 'a sticky event of ours, and a destination that fails',
    seen: 'it is pushed, and what the destination asked to wait is respected',
    by: by('e2e/deadline', 'gets one that comes when it is up again at once', ASKED),
  },
  {
    id: 'K4',
    given: 'much else waits',
    seen: 'sticky replays keep 40 of 50 places, and all of them before a gap',
    by: by(
      'deliver/rules/plan',
      'have 40 of 50 where the timeline waits too, and the timeline has the rest',
      'have all places before a gap',
    ),
  },
  {
    id: 'K5',
    given: 'a server newly joins a room',
    seen: 'all our unexpired sticky events of that room',
    by: by('e2e/sticky', JOIN, 'reach a joiner that is backing off, within seconds of the join'),
  },
  {
    id: 'K6',
    given: 'sticky events of other servers’ users',
    seen: 'never replayed by us',
    by: [...by('ingest/sticky-owed', NONE_OWED), ...by('e2e/sticky', NOT_REPLAYED)],
  },
  {
    id: 'K7',
    given: 'a room whose history is visible to members only',
    seen: 'who joins gets its sticky events from before',
    by: by('interop/many-sticky', JOINED_ROOM, JOINED),
  },
  {
    id: 'K8',
    given: 'a receiver limits us with another status than 200',
    seen: 'the same transaction goes again',
    by: FAILURE_STAYS,
  },
  {
    id: 'K9',
    given: 'several sticky events are replayed',
    seen: 'in stream order, beside what else goes',
    by: [...by('e2e/sticky', JOIN), ...by('deliver/rules/plan', 'are put into stream order with the rest')],
  },
  {
    id: 'K10',
    given: 'a sticky event has lapsed',
    seen: 'no replay from that very moment; it is an ordinary event of the timeline',
    by: by(
      'deliver/rules/plan',
      'lapse at the very millisecond: one before it they go',
      'that lapsed still go as ordinary events of the timeline',
    ),
  },
  {
    id: 'K11',
    given: 'a sticky event is redacted, or flagged by a policy',
    seen: 'it is an ordinary event',
    by: [
      ...by(
        'ingest/redact-purge',
        'puts the redacted form in the place of the text, for good, and ends its stickiness',
      ),
      ...by('ingest/sticky-owed', 'only if it is ours, not flagged, and says an integer duration above zero'),
    ],
  },
  {
    id: 'K12',
    given: 'a duration of less than five minutes',
    seen: 'advised against, and taken as it is',
    by: by('ingest/sticky-owed', 'only if it is ours, not flagged, and says an integer duration above zero'),
  },
  {
    id: 'K13',
    given: 'a duration above the cap',
    seen: 'as long as the cap',
    by: by('ingest/sticky-owed', 'no longer than the cap'),
  },
  {
    id: 'K14',
    given: 'a replayed event follows events that the remote server does not have',
    seen: 'it can ask our server for them',
    by: by('interop/catch-up', 'what catch-up passed by is there for Bob when he pages back'),
  },
]
