/**
 * limpet itself on PostgreSQL: the real append, the real step, with a `send` that the schedule answers and a
 * clock that only the schedule moves. Each driver is one destination; many share one database.
 */
import { randomUUID } from 'node:crypto'
import { makeBatcher } from '../../src/batcher.ts'
import { takeStep, type StepNeeds } from '../../src/deliver/step.ts'
import { makeAppend } from '../../src/ingest/append.ts'
import type { Item } from '../../src/ingest/items.ts'
import type { EventId, RoomId } from '../../src/matrix/ids.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { makeLog } from '../../src/observe/log.ts'
import { adviseUp } from '../../src/store/advice.ts'
import { writeAttemptResults } from '../../src/store/attempt-results.ts'
import { nowMs, openPool, type Pool } from '../../src/store/db.ts'
import { loadDestination } from '../../src/store/destination-state.ts'
import { registerWorker, releaseDestination, takeDestination } from '../../src/store/leases.ts'
import { freezeTransactions } from '../../src/store/open-transactions.ts'
import { makeWish } from '../../src/store/wishes.ts'
import type { SendResult } from '../../src/wire/send.ts'
import { SETTINGS, type Driver, type Hooks, type ModelItem, type Server, type View } from './driver.ts'

const OURS = 'home.example'
const FOR_EVER_MS = 1e13

/** A pool on a database whose clock stands still unless `moveClock` moves it. */
export async function openModelDatabase(url: string): Promise<Pool> {
  const pool = openPool({ url, max: 4 })
  await pool.query(`insert into settings (key, value) values ('clock_offset_ms', '1700000000000')`)
  await pool.query(
    `create or replace function now_ms() returns bigint language sql stable as
     $$ select value::bigint from settings where key = 'clock_offset_ms' $$`,
  )
  return pool
}

let drivers = 0

export async function makePostgresDriver(pool: Pool): Promise<Driver> {
  const tag = (drivers += 1)
  const name = `us${tag}.example`
  const nameOf = (server: Server) => (server === 'us' ? name : `other${tag}.example`)
  const roomOf = (room: number) => `!r${room}x${tag}:${OURS}` as RoomId
  let worker = randomUUID()
  await registerWorker(pool, { id: worker, name: 'model', leaseMs: FOR_EVER_MS })

  const append = makeAppend({
    pool,
    serverName: OURS,
    maxStickyMs: SETTINGS.maxStickyMs,
    random: () => 0.5,
    onTaken: () => undefined,
  })

  async function look(hooks: Hooks): Promise<'sent' | 'nothing' | 'lost'> {
    const taken = await takeDestination(pool, worker, name)
    if (taken.kind === 'unknown') return 'nothing'
    if (taken.kind !== 'taken') throw new Error(`the destination is ${taken.kind}`)
    const { held } = taken
    const outcomes: string[] = []
    const needs = needsOf(hooks, (outcome) => outcomes.push(outcome))
    const { signal } = new AbortController()
    const lease = { id: worker, signal, stillHeld: () => true }
    for (let looks = 0; looks < 50; looks += 1) {
      const state = await loadDestination(pool, held)
      if (state?.held !== true) return 'lost'
      const step = await takeStep(needs, { held, state, lease, signal })
      if (step.kind === 'look again') continue
      if (step.kind === 'let go') {
        const { lookAt, position } = step
        await releaseDestination(pool, held, { wakeSeq: state.wakeSeq, lookAt, position })
        return 'nothing'
      }
      await releaseDestination(pool, held, { wakeSeq: null, lookAt: state.now, position: null })
      return outcomes.some((outcome) => outcome === 'lost' || outcome === 'aborted') ? 'lost' : 'sent'
    }
    throw new Error('a look never ends')
  }

  function needsOf(hooks: Hooks, onOutcome: (outcome: string) => unknown): StepNeeds {
    return {
      pool,
      log: makeLog({ level: 'silent', pretty: false }),
      clock: { now: () => 0, monotonic: () => 0, sleep: () => Promise.resolve() },
      random: () => 0.5,
      backoff: SETTINGS.backoff,
      catchUp: SETTINGS.catchUp,
      maxPdus: SETTINGS.maxPdus,
      maxBodyBytes: SETTINGS.maxBodyBytes,
      requestTimeoutMs: SETTINGS.requestTimeoutMs,
      origin: OURS,
      onLapsed: () => undefined,
      onAttempt: ({ outcome }) => onOutcome(outcome),
      freeze: makeBatcher({
        maxWeight: 1,
        run: async (rows) => {
          await hooks.beforeFreeze()
          const started = await freezeTransactions(pool, rows)
          const [row] = rows
          const [frozenAt] = started
          if (row !== undefined && frozenAt != null) {
            const { txnId, body, readAt, acknowledges } = row
            const { positions, lanes } = acknowledges
            await hooks.frozen({ txnId, body, positions, lanes, readAt, frozenAt })
          }
          return started
        },
      }),
      send: async ({ txnId, body }): Promise<SendResult> => {
        const result = await hooks.send({ txnId, body })
        await hooks.beforeWritten()
        return result
      },
      results: makeBatcher({ maxWeight: 1, run: (rows) => writeAttemptResults(pool, rows) }),
      place: { within: (work) => work() },
    }
  }

  async function view(): Promise<View | null> {
    const { rows } = await pool.query<View & { id: number }>(
      `select d.id, now_ms() as now, s.head, d.position, d.paused, d.failures, d.look_at as "lookAt",
              o.txn_id as "openTxn",
              coalesce((select jsonb_agg(jsonb_build_object('from', g.from_pos, 'to', g.to_pos, 'open', g.closed_at is null) order by g.id)
                          from gaps g where g.destination = d.id), '[]') as gaps
         from destinations d cross join stream s left join open_transactions o on o.destination = d.id
        where d.name = $1`,
      [name],
    )
    return rows[0] ?? null
  }

  return {
    append: async (items) => {
      const result = await append({
        source: `model${tag}`,
        sourceToken: undefined,
        ifSourceToken: undefined,
        items: items.map(itemOf),
      })
      if (result.kind !== 'taken') throw new Error(JSON.stringify(result))
      return { last: result.position, now: await nowMs(pool) }
    },
    now: () => nowMs(pool),
    moveClock: async (byMs) => {
      await pool.query(
        `update settings set value = (value::bigint + $1)::text where key = 'clock_offset_ms'`,
        [Math.round(byMs)],
      )
    },
    wish: async (wish) => (await makeWish(pool, { wish, name, who: 'model' })).kind === 'done',
    serverUp: async () => {
      const { rows } = await pool.query<{ id: number }>('select id from destinations where name = $1', [name])
      await adviseUp(
        pool,
        rows.map(({ id }) => id),
        { random: () => 0.5, up: true },
      )
    },
    newWorker: async () => {
      await pool.query('update workers set lease_until = 0 where id = $1', [worker])
      worker = randomUUID()
      await registerWorker(pool, { id: worker, name: 'model', leaseMs: FOR_EVER_MS })
    },
    look,
    view,
  }

  function itemOf(item: ModelItem): Item {
    switch (item.type) {
      case 'event': {
        const { room, eventId, pdu, stickyMs, to, alsoTo, notTo } = item
        return {
          type: 'event',
          roomId: roomOf(room),
          // A version that nobody knows: ids are taken as given.
          roomVersion: 'model',
          eventId: eventId as EventId,
          pdu,
          sender: `@us:${OURS}`,
          originServerTs: Number.MAX_SAFE_INTEGER,
          stickyDurationMs: stickyMs,
          audience:
            to === null ? { alsoTo: alsoTo.map(nameOf), notTo: notTo.map(nameOf) } : { to: to.map(nameOf) },
        }
      }
      case 'servers':
        return {
          type: 'servers',
          roomId: roomOf(item.room),
          change: { add: item.add.map(nameOf), remove: item.remove.map(nameOf) },
        }
      case 'redact':
        return {
          type: 'redact',
          eventId: item.eventId as EventId,
          pdu: item.pdu,
          parsed: parseJson(item.pdu) as JsonObject,
          sender: `@us:${OURS}`,
        }
      case 'purge':
        return { type: 'purge', roomId: roomOf(item.room) }
    }
  }
}
