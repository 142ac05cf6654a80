/** One statement that acknowledges and freezes: what it writes, and when it writes nothing at all. */
import { expect } from 'chai'
import { assembleTransaction } from '../../../src/matrix/transaction.ts'
import {
  acknowledgeAndFreeze,
  type Answered,
  type Frozen,
} from '../../../src/store/delivery/acknowledge-and-freeze.ts'
import { openPool, type Pool } from '../../../src/store/db.ts'
import { readOpenTexts } from '../../../src/store/delivery/open-texts.ts'
import { registerWorker } from '../../../src/store/delivery/leases.ts'
import { lockContent } from '../../../src/store/stream.ts'
import { holdTransaction } from '../../support/hold.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { until } from '../../support/poll.ts'
import { loadDestination } from '../../support/one.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const MANY = 250

describe('acknowledging and freezing in one', () => {
  let pool: Pool
  beforeEach(async () => {
    pool = openPool({ url: (await freshDatabase()).url, max: 4 })
    await registerWorker(pool, { id: WORKER, name: 'w', leaseMs: 3_600_000 })
    await pool.query(
      `insert into destinations (id, name, position, created_at, lease_owner, fence, wake_seq, narrowed_seq)
       select id, id || '.example', 0, 0, $1, 1, 7, 4 from generate_series(1, ${MANY}) id`,
      [WORKER],
    )
    await pool.query(
      `insert into events (pos, room, event_id, sender, pdu, received_ts)
       select pos, 1, '$' || pos, '@a:b', '{"n":' || pos || '}', 0 from generate_series(1, 200) pos`,
    )
  })
  afterEach(() => pool.end())

  const next = (
    txnId: string,
    positions: number[],
    { toPos = positions.at(-1) ?? 0, ...more }: Partial<Frozen> & { toPos?: number } = {},
  ): Partial<Frozen> => ({
    txnId,
    fromPos: null,
    acknowledges: {
      ...{ positions, lanes: 't'.repeat(positions.length), eventIds: [], fromPos: 0, toPos },
      ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
    },
    ...more,
  })
  const answered = (txnId: string, more: Partial<Answered> = {}): Answered => ({
    ...{ txnId, durationMs: 12.4, unlisted: [], ...more },
  })
  const step = (destination: number, more: Partial<Frozen>): Frozen => ({
    ...{
      originServerTs: 17,
      bytes: 100,
      readAt: 200,
      wakeSeq: 7,
      narrowedSeq: 4,
      soonestLapse: null,
      edusAs: null,
      answered: null,
    },
    ...(next('none', []) as Frozen),
    held: { worker: WORKER, destination, fence: 1 },
    ...more,
  })
  const one = async (more: Partial<Frozen>, destination = 1) =>
    (await acknowledgeAndFreeze(pool, [step(destination, more)]))[0]
  const rows = async (sql: string) => (await pool.query<Record<string, unknown>>(sql)).rows
  /** All that a step may change, of destination 1. */
  const everything = async () => [
    await rows(
      `select position, attempt_seq, last_attempt, last_success, wake_seq from destinations where id = 1`,
    ),
    await rows('select * from open_transactions where destination = 1'),
    await rows('select * from attempts where destination = 1 order by seq'),
  ]

  it('begins with a freeze, which is as any other transaction', async () => {
    const pduTexts = ['{"n":3}', '{"n":5}']
    const body = assembleTransaction({ origin: 'home.example', originServerTs: 17, pduTexts })
    const bytes = Buffer.byteLength(body)
    const startedAt = await one({ ...next('a', [3, 5], { toPos: 9, bytes }) })
    const state = await loadDestination(pool, { worker: WORKER, destination: 1, fence: 1 })
    expect(state?.position).to.equal(0)
    expect(state?.open).to.deep.include({ txnId: 'a', attempt: 1, worker: WORKER, createdAt: startedAt })
    expect(state?.open).to.include({ originServerTs: 17, bytes, void: false })
    const texts = await readOpenTexts(pool, 1, state!.open!)
    expect(texts?.pdus.map(({ pdu, eventId }) => [pdu, eventId])).to.deep.equal([
      [pduTexts[0], '$3'],
      [pduTexts[1], '$5'],
    ])
    expect(state?.open?.acknowledges).to.deep.equal({
      ...{ positions: [3, 5], lanes: 'tt', eventIds: [], fromPos: 0, toPos: 9 },
      ...{ gap: null, gapCursor: null, closesGap: false, sticky: [] },
    })
    expect(await rows('select last_attempt as at from destinations where id = 1')).to.deep.equal([
      { at: startedAt },
    ])
  })

  it('acknowledges what was answered in the commit that freezes the next', async () => {
    const firstAt = await one({ ...next('a', [3, 5], { toPos: 9 }) })
    // It was marked as void after it had gone: the next one is not.
    await pool.query('update open_transactions set void = true')
    const secondAt = await one({
      answered: answered('a', { unlisted: [5] }),
      ...next('b', [11], { toPos: 20, originServerTs: 18, bytes: 50 }),
    })
    expect(
      await rows('select position, attempt_seq, last_attempt from destinations where id = 1'),
    ).to.deep.equal([{ position: 9, attempt_seq: 1, last_attempt: secondAt }])
    const [open] = await rows('select * from open_transactions where destination = 1')
    expect(open).to.deep.include({
      ...{ txn_id: 'b', origin_server_ts: 18, bytes: 50, void: false, attempt: 1, worker: WORKER, edus: 0 },
      ...{ positions: [11], lanes: 't', from_pos: 9, to_pos: 20, created_at: secondAt, started_at: secondAt },
      ...{ gap: null, gap_cursor: null, closes_gap: false, sticky: [] },
    })
    const [attempt] = await rows('select * from attempts where destination = 1')
    expect(attempt).to.deep.include({
      ...{
        seq: 1,
        at: firstAt,
        txn_id: 'a',
        duration_ms: 12,
        outcome: 'answered',
        status: 200,
        pdus: 2,
        edus: 0,
      },
      ...{ positions: [3, 5], lanes: 'tt', from_pos: 0, to_pos: 9, unlisted: [5], pdu_errors: null },
    })
  })

  it('freezes what a look has planned, in every lane, whatever was wished since', async () => {
    const sticky = [{ room: 1, upto: 90, cursor: 70 }]
    const acknowledges = {
      ...{ positions: [3, 5], lanes: 'sc', eventIds: [], fromPos: 0, toPos: 0 },
      ...{ gap: 8, gapCursor: 5, closesGap: true, sticky },
    }
    expect(await one({ txnId: 'a', acknowledges, fromPos: 0, wakeSeq: null })).to.be.a('number')
    const [open] = await rows('select * from open_transactions')
    expect(open).to.deep.include({
      ...{ txn_id: 'a', positions: [3, 5], lanes: 'sc', from_pos: 0, to_pos: 0 },
      ...{ gap: 8, gap_cursor: 5, closes_gap: true, sticky },
    })
  })

  it('notes that the same bytes go again, but not while it is paused, nor once a text of them is gone', async () => {
    const again = async () => (await acknowledgeAndFreeze(pool, [{ held: step(1, {}).held, again: 'a' }]))[0]
    expect(await again(), 'nothing is open').to.equal(null)
    const frozenAt = await one(next('a', [3]))
    // A repeat asks for no wish, and for nothing that was taken away since.
    await pool.query('update destinations set wake_seq = 99, narrowed_seq = 99 where id = 1')
    await pool.query(`insert into changes (pos, kind) values (300, 'redact')`)
    const startedAt = await again()
    expect(await rows('select txn_id, attempt, created_at, started_at from open_transactions')).to.deep.equal(
      [{ txn_id: 'a', attempt: 2, created_at: frozenAt, started_at: startedAt }],
    )
    await pool.query('update destinations set paused = true where id = 1')
    expect(await again(), 'paused').to.equal(null)
    await pool.query('update destinations set paused = false where id = 1')
    await pool.query('update open_transactions set void = true')
    expect(await again(), 'void').to.equal(null)
    expect(await rows('select attempt from open_transactions')).to.deep.equal([{ attempt: 2 }])
  })

  it('sends nothing again of which a text was taken away while it waited for that', async () => {
    await one(next('a', [3]))
    const redacting = await holdTransaction(pool)
    try {
      await lockContent(redacting)
      const again = acknowledgeAndFreeze(pool, [{ held: step(1, {}).held, again: 'a' }])
      const waits = `select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`
      await until(async () => (await pool.query(waits)).rowCount === 1, { what: 'it to wait' })
      await redacting.query('update open_transactions set void = true')
      await redacting.query('commit')
      expect(await again).to.deep.equal([null])
    } finally {
      redacting.release()
    }
  })

  const bad: [string, Partial<Frozen>, string?][] = [
    ['after a wish of somebody else', { wakeSeq: 6 }],
    ['after something was taken away from it', { narrowedSeq: 3 }],
    ['while it is paused, by whatever release', {}, 'update destinations set paused = true where id = 1'],
    ['under an older fence', { held: { worker: WORKER, destination: 1, fence: 0 } }],
    ['for another worker', { held: { worker: WORKER.replace(/1$/, '2'), destination: 1, fence: 1 } }],
    ['when the lease is over', {}, 'update workers set lease_until = now_ms()'],
    ['after a redaction that was not read', {}, `insert into changes (pos, kind) values (201, 'redact')`],
    ['after a purge that was not read', {}, `insert into changes (pos, kind) values (201, 'purge')`],
    ['where another transaction is open', { answered: answered('other') }],
    ['where one is open that was not answered', { answered: null }],
    ['where the position is another', {}, 'update destinations set position = 1 where id = 1'],
    ['where the transaction has ended already', {}, 'delete from open_transactions'],
  ]
  for (const [when, more, sql] of bad) {
    it(`writes nothing ${when}`, async () => {
      await one({ ...next('a', [3]) })
      if (sql !== undefined) await pool.query(sql)
      const before = await everything()
      expect(await one({ answered: answered('a'), ...next('b', [4]), ...more })).to.equal(null)
      expect(await everything()).to.deep.equal(before)
    })
  }

  it('freezes after a redaction that was read, and after any other change', async () => {
    await pool.query(`insert into changes (pos, kind) values (200, 'redact'), (300, 'servers')`)
    expect(await one({ ...next('a', [3]) })).to.be.a('number')
  })

  it('sees a wish that was made while it waited for the row', async () => {
    await one({ ...next('a', [3]) })
    const before = await everything()
    const wishing = await holdTransaction(pool)
    try {
      await wishing.query('update destinations set wake_seq = wake_seq + 1 where id = 1')
      const advanced = one({ answered: answered('a'), ...next('b', [4]) })
      const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and query like '%/* acknowledge and freeze */%' and datname = current_database()`
      await until(async () => (await pool.query(waits)).rowCount === 1, { what: 'it to wait for the row' })
      await wishing.query('commit')
      expect(await advanced).to.equal(null)
    } finally {
      wishing.release()
    }
    const after = await everything()
    expect(after[0]).to.deep.equal([{ ...before[0]?.[0], wake_seq: 8 }])
    expect(after.slice(1)).to.deep.equal(before.slice(1))
  })

  it('waits for a redaction that is under way, and freezes nothing after it', async () => {
    const redacting = await holdTransaction(pool)
    try {
      await lockContent(redacting)
      const advanced = one({ ...next('a', [3]) })
      const waits = `select from pg_locks where locktype = 'advisory' and not granted
        and database = (select oid from pg_database where datname = current_database())`
      await until(async () => (await pool.query(waits)).rowCount === 1, {
        what: 'it to wait for the redaction',
      })
      await redacting.query(`insert into changes (pos, kind, target) values (201, 'redact', 3)`)
      await redacting.query('commit')
      expect(await advanced).to.equal(null)
    } finally {
      redacting.release()
    }
    expect(await rows('select from open_transactions')).to.deep.equal([])
  })

  it('does it for many in one commit, and says for whom it did', async () => {
    const all = Array.from({ length: MANY }, (_, i) => i + 1)
    const refused = (id: number) => id % 10 === 0
    const first = await acknowledgeAndFreeze(
      pool,
      all.map((id) => step(id, { ...next(`a${id}`, [id % 100]), wakeSeq: refused(id) ? 6 : 7 })),
    )
    expect(first.map((at) => at === null)).to.deep.equal(all.map(refused))
    const backwards = all.toReversed()
    const second = await acknowledgeAndFreeze(
      pool,
      backwards.map((id) => step(id, { answered: answered(`a${id}`), ...next(`b${id}`, [100]) })),
    )
    expect(second.map((at) => at === null)).to.deep.equal(backwards.map(refused))
    const open = await rows('select txn_id from open_transactions order by destination')
    expect(open).to.deep.equal(all.filter((id) => !refused(id)).map((id) => ({ txn_id: `b${id}` })))
    expect(await rows('select id from destinations where position > 0 order by id')).to.deep.equal(
      all.filter((id) => !refused(id) && id % 100 !== 0).map((id) => ({ id })),
    )
  })

  // The same bytes again: a holder freezes one transaction at a time, so two that are new at once would be a defect of its own.
  it('never waits crosswise with another that has the same destinations in another order', async () => {
    const ids = Array.from({ length: MANY }, (_, i) => i + 1)
    await acknowledgeAndFreeze(
      pool,
      ids.map((id) => step(id, {})),
    )
    const again = (order: number[]) =>
      acknowledgeAndFreeze(
        pool,
        order.map((destination) => ({ held: { worker: WORKER, destination, fence: 1 }, again: 'none' })),
      )
    // Four connections, so that four are really at work at once.
    await Promise.all(Array.from({ length: 4 }, () => pool.query('select pg_sleep(0.05)')))
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, i) => again(i % 2 === 0 ? ids : ids.toReversed())),
    )
    expect(all.flat().every((begun) => begun !== null)).to.equal(true)
  })

  it('keeps the newest attempts, a hundred and some', async () => {
    await one({ ...next('t0', [1], { toPos: 1 }) })
    for (let n = 1; n <= 130; n += 1) {
      await one({ answered: answered(`t${n - 1}`), ...next(`t${n}`, [n + 1]) })
    }
    const kept = await rows('select seq from attempts order by seq desc')
    expect(kept.length).to.be.within(100, 116)
    expect(kept[0]).to.deep.equal({ seq: 130 })
  })
})
