/** A ban that redacts all that its user sent (MSC4293): thousands of events, passed on in pieces. */
import { expect } from 'chai'
import { pino } from 'pino'
import { systemClock } from '../../../src/pace/clock.ts'
import { makeAppend, type IngestRequest } from '../../../src/ingest/append.ts'
import { parseItem } from '../../../src/ingest/parse-item.ts'
import { makeProgress } from '../../../src/ingest/synapse/progress.ts'
import { makeSynapseSource, type SynapseSourceNeeds } from '../../../src/ingest/synapse/source.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { heldAmong, heldBy } from '../../../src/store/ingest/held-events.ts'
import { sourcePosition } from '../../../src/store/ingest/read-back.ts'
import { until } from '../../support/poll.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { synapseTables, type SynapseTables } from './tables.ts'

const alice = '@alice:a.example'
const bob = '@bob:b.example'

describe('a ban that redacts many events of one of our users', () => {
  let synapse: SynapseTables
  let database: Awaited<ReturnType<typeof freshDatabase>>
  let ours: Pool
  let requests: IngestRequest[]
  let failAt: number | null
  let onRequest: () => void
  /** How many rows each answer of Synapse's database had. */
  let answers: number[]
  const stops: (() => Promise<unknown>)[] = []

  beforeEach(async () => {
    synapse = await synapseTables()
    await synapse.pool.query(`update rooms set room_version = '1'`)
    database = await freshDatabase()
    ours = openPool({ url: database.url })
    requests = []
    failAt = null
    onRequest = () => undefined
    answers = []
    await synapse.write({ at: 1, sender: alice, member: { user: alice, membership: 'join' } })
    await synapse.write({ at: 2, sender: bob, member: { user: bob, membership: 'join' } })
    await synapse.finishedUpTo(2)
  })
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
    await ours.end()
    await database.drop()
    await synapse.close()
  })

  /** The pool, with its answers noted. */
  const watched = (pool: Pool): Pool => {
    const query = async (sql: string, values: unknown[]) => {
      const result = await pool.query(sql, values)
      answers.push(result.rows.length)
      return result
    }
    return Object.assign(Object.create(pool) as Pool, { query })
  }

  function follow(more: Pick<SynapseSourceNeeds, 'progress'> = {}) {
    const real = makeAppend({
      ...{ pool: ours, serverName: 'a.example', maxStickyMs: 3_600_000, random: () => 0.5 },
      onTaken: () => undefined,
    })
    const stopping = new AbortController()
    const ended = makeSynapseSource({
      pool: watched(synapse.pool),
      serverName: 'a.example',
      append: (request) => {
        if (requests.length === failAt) {
          failAt = null
          return Promise.resolve({ kind: 'unavailable', message: 'away' })
        }
        requests.push(request)
        onRequest()
        return real(request)
      },
      tokenOf: async (name) => (await sourcePosition(ours, name)).sourceToken,
      held: (eventIds) => heldAmong(ours, eventIds),
      heldBy: (asked) => heldBy(ours, asked),
      parseItem: (raw) =>
        parseItem(raw, 0, { serverName: 'a.example', stickyFieldNames: ['msc4354_sticky'] }),
      purges: { told: { page: () => Promise.resolve([]), among: () => Promise.resolve([]) } },
      clock: systemClock,
      log: pino({ level: 'silent' }),
      pollMs: 20,
      ...more,
    }).run(stopping.signal)
    stops.push(() => {
      stopping.abort()
      return ended
    })
  }
  const reaches = (at: number) =>
    until(async () => (await sourcePosition(ours, 'synapse')).sourceToken === `events=${at}`, {
      what: `the token events=${at}`,
    })

  /** Alice's messages from `from` to `to`. */
  async function says(from: number, to: number) {
    await synapse.pool.query(
      `insert into events (stream_ordering, topological_ordering, processed, event_id, room_id, sender, type, outlier)
       select n, 1, true, '$e' || n || ':a.example', $1, $2, 'm.room.message', false from generate_series($3::int, $4::int) n`,
      [synapse.room, alice, from, to],
    )
    await synapse.pool.query(
      `insert into event_json
       select event_id, room_id, '{}', json_build_object('event_id', event_id, 'type', type, 'room_id', room_id, 'sender', sender,
                'origin_server_ts', 1, 'depth', 5, 'prev_events', json_build_array(json_build_array('$x:y', json_build_object())),
                'auth_events', json_build_array(), 'hashes', json_build_object('sha256', 'x'), 'signatures', json_build_object(),
                'content', json_build_object('body', 'secret words'))::text, 1
         from events where stream_ordering between $1 and $2`,
      [from, to],
    )
  }
  async function bans(at: number) {
    await synapse.write({ at, sender: bob, member: { user: alice, membership: 'ban' } })
    const row = [synapse.room, alice, synapse.idAt(at)]
    await synapse.pool.query('insert into room_ban_redactions values ($1, $2, $3, null)', row)
    await synapse.finishedUpTo(at)
  }
  const secrets = async () =>
    (await ours.query<{ n: number }>(`select count(*) as n from events where pdu like '%secret%'`)).rows[0]?.n
  const redactsIn = ({ items }: IngestRequest) => items.filter(({ type }) => type === 'redact').length

  it('is passed on in pieces, and the place moves with the last', async () => {
    follow()
    await reaches(2)
    await says(3, 352)
    await synapse.finishedUpTo(352)
    await reaches(352)
    const before = requests.length
    await bans(353)
    await reaches(353)
    const pieces = requests.slice(before)
    expect(pieces.map(redactsIn)).to.deep.equal([100, 100, 100, 50, 0])
    expect(pieces.map(({ sourceToken }) => sourceToken)).to.deep.equal([
      ...Array<string>(4).fill('events=352'),
      'events=353',
    ])
    expect(await secrets()).to.equal(0)
  })

  it('is progress with every piece, however long all of them take', async () => {
    let now = 0
    const progress = makeProgress({ monotonic: () => now })
    follow({ progress })
    await reaches(2)
    await says(3, 602)
    await synapse.finishedUpTo(602)
    await reaches(602)
    const states: string[] = []
    onRequest = () => {
      now += 20_000
      states.push(progress.report().state)
    }
    await bans(603)
    await reaches(603)
    expect(states).to.deep.equal(Array(7).fill('running'))
  })

  it('repeats harmlessly after a crash between two pieces', async () => {
    follow()
    await reaches(2)
    await says(3, 302)
    await synapse.finishedUpTo(302)
    await reaches(302)
    failAt = requests.length + 2
    await bans(303)
    await reaches(303)
    expect(failAt, 'the third piece failed').to.equal(null)
    expect(await secrets()).to.equal(0)
  })

  it('is passed on for those events only that limpet holds', async () => {
    await says(3, 300)
    await synapse.finishedUpTo(300)
    follow()
    await reaches(300)
    await says(301, 302)
    await synapse.finishedUpTo(302)
    await reaches(302)
    const before = requests.length
    await bans(303)
    await reaches(303)
    expect(requests.slice(before).map(redactsIn)).to.deep.equal([2])
    expect(await secrets()).to.equal(0)
  })

  it('costs Synapse no row for what limpet does not hold', async () => {
    await says(3, 3_000)
    await synapse.finishedUpTo(3_000)
    follow()
    await reaches(3_000)
    await says(3_001, 3_001)
    await synapse.finishedUpTo(3_001)
    await reaches(3_001)
    answers = []
    await bans(3_002)
    await reaches(3_002)
    expect(answers.reduce((sum, rows) => sum + rows, 0)).to.be.lessThan(100)
    expect(await secrets()).to.equal(0)
  })

  it('is read in pages, however much limpet holds, and after a crash only what is left goes again', async () => {
    follow()
    await reaches(2)
    await says(3, 1_302)
    await synapse.finishedUpTo(1_302)
    await reaches(1_302)
    answers = []
    failAt = requests.length + 9
    const before = requests.length
    await bans(1_303)
    await reaches(1_303)
    expect(failAt, 'the tenth piece failed').to.equal(null)
    expect(Math.max(...answers)).to.be.at.most(1_000)
    // What was on the way when it failed is counted once.
    expect(requests.slice(before).reduce((sum, one) => sum + redactsIn(one), 0)).to.equal(1_300)
    expect(await secrets()).to.equal(0)
  })

  it('that limpet reads together with what it redacts makes windows short', async () => {
    follow()
    await reaches(2)
    await says(3, 252)
    await bans(253)
    await reaches(253)
    for (const request of requests) expect(redactsIn(request)).to.be.at.most(101)
    expect(await secrets()).to.equal(0)
  })
})
