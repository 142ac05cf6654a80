/** Scenarios 40 to 48: discovery, EDUs, processes and operators. */
import { by, ofEdus, type Row } from './row.ts'

const STALE = 'a process that was stopped beyond its lease writes nothing and starts nothing when it goes on'

export const OPERATION: readonly Row[] = [
  {
    id: '40',
    given: 'server names of every kind, with real DNS, TLS and HTTP on loopback',
    seen: 'the right address, Host header, SNI and certificate name, or a refusal: docs/discovery-cases.md, row by row',
    asserts: ['expect(await differences(wanted, loopback())).to.deep.equal([])'],
    by: [
      ...by(
        'discovery/cases',
        '${wanted.row}: ${wanted.about}',
        'has a row for each step and rule of the specification',
      ),
      ...by('e2e/discovery', 'that lead where nothing may be connected to are not, and the reason is told'),
    ],
  },
  {
    id: '41',
    given: 'device lists change while a server is down',
    seen: 'it gets the updates, each naming those before it',
    asserts: ['expect(remote.edus.resyncs).to.equal(0)'],
    by: ofEdus('of device lists that change while a server is down are a chain when it is up'),
  },
  {
    id: '42',
    given: 'receipts of one user in two threads',
    seen: 'two EDUs',
    asserts: ["[ALICE, '$thread'], [ALICE, null]"],
    by: [
      ...by('matrix/edus/pack', 'hold one receipt of a user in a room each, the one without a thread last'),
      ...ofEdus('go to the servers that are to have them, and to no others; what becomes of them is seen'),
    ],
  },
  {
    id: '43',
    given: 'a user types and stops while the destination is slow',
    seen: 'only the last state goes, and none that is old',
    asserts: ["expect(said.map(({ content }) => content['typing'])).to.deep.equal([false])"],
    by: ofEdus(
      'of a user who types and stops while the destination is slow are the last state only, and none that is old',
    ),
  },
  {
    id: '44',
    given: 'presence of many users',
    seen: 'so many in one EDU, and no more',
    asserts: ['expect(pushed.map((push) => push.length)).to.deep.equal([50, 50, 20])'],
    by: ofEdus(
      'of presence of many users are 50 users in one, and each says how long ago it was active when it is sent',
    ),
  },
  {
    id: '45',
    given: 'two processes deliver; one is stopped for longer than its lease',
    seen: 'each destination is served by exactly one; the stopped one writes nothing when it goes on',
    asserts: [
      'expect(remote.mostOpenAtOnce).to.equal(1)',
      'expect(open.rows.filter(({ worker }) => ids.has(worker))).to.deep.equal([])',
    ],
    by: [
      ...by(
        'e2e/processes',
        'gives each destination one sender at a time: two that deliver, one stopped in the middle',
      ),
      ...by('chaos/kill', STALE),
    ],
  },
  {
    id: '46',
    given: 'an operator lists destinations, and resets one',
    seen: 'ordered, filtered and in pages; after a reset failures and holds are forgotten',
    asserts: [
      "expect((await app.get('/v1/destinations?from=50')).body).to.deep.include({ destinations: [], total: 4 })",
      'expect((await app.post(`${path}/reset`)).status).to.equal(200)',
    ],
    by: by(
      'http/admin/routes',
      'orders by stored fields, forwards and backwards, those without a value last',
      'filters by state and by part of a name, and pages through what is left',
      'resets: failures, 429 and 410 are forgotten, the last error stays',
    ),
    missing: {
      ...{ when: 'not yet', contract: '4', says: '`POST …/{d}/reset_connection` (not yet)' },
      why: 'the paths and codes of Synapse’s admin API, where a reset of what is well is refused',
    },
  },
  {
    id: '47',
    given: 'SIGTERM while requests are in flight',
    seen: 'they end, their answers are written down, exit status 0; nothing is repeated at the next start',
    asserts: ['expect(await deliver.terminate()).to.equal(0)', 'expect(repeats).to.equal(0)'],
    by: [
      ...by(
        'chaos/kill',
        'SIGTERM during traffic: exit 0, every acknowledgement written, nothing repeated at the next start',
      ),
      ...by('http/server', 'let requests in flight end when they close, and take no new ones'),
    ],
  },
  {
    id: '48',
    given: 'invalid server names: empty, with a path, too long',
    seen: 'skipped and listed in the answer; the rest of the request is accepted',
    asserts: [
      'expect(parseServerName(text)).to.equal(null)',
      'to.deep.equal([0, 1, 2, 3, 4, 5].flatMap(rest))',
    ],
    by: [
      ...by('matrix/ids', 'refuses a server name with ${what}'),
      ...by('ingest/append-answers', 'our own name and names that are no server names, wherever they stand'),
    ],
  },
]
