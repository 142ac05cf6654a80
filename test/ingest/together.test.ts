/**
 * Ingest beside everything else that writes: no deadlocks, and what came of it fits together.
 *
 * A deadlock costs a second with the stream's lock held, and one of the two its work.
 */
import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import type { AttemptResult } from '../../src/store/delivery/results.ts'
import { writeAttemptResults } from '../../src/store/delivery/results.ts'
import { inTransaction, openPool, type Pool } from '../../src/store/db.ts'
import { countBacklogs } from '../../src/store/upkeep/count-backlogs.ts'
import { cutImpossibleWaits, removeOld, withSweepLock } from '../../src/store/upkeep/housekeeping.ts'
import { registerWorker, type Held } from '../../src/store/delivery/leases.ts'
import { freezeTransactions, type Frozen } from '../support/freeze.ts'
import { moveStickyCursors, noteListing } from '../../src/store/delivery/replays.ts'
import { noteLapsed } from '../../src/store/delivery/sticky-lane.ts'
import { timelinePositions } from '../../src/store/delivery/timeline.ts'
import { findOwed, markMissed } from '../../src/store/delivery/wake-lists.ts'
import {
  event,
  type GivenEvent,
  makeIngestWorld,
  purge,
  redact,
  servers,
  sticky,
  up,
} from './ingest-world.ts'
import type { IngestWorld } from './ingest-world.ts'
import { loadDestination, releaseDestination, takeDestination } from '../support/one.ts'

const APPENDERS = 8
/** It ends when it has run for so long and appended so much, whichever comes later. */
const RUN_MS = 4_000
const APPENDED = 400
/** Nor longer than this, ms: then it has appended too little, and says so. */
const LONGEST_MS = 180_000
const SERVERS = Array.from({ length: 40 }, (_, n) => `s${n}.example`)
const ROOMS = Array.from({ length: 10 }, (_, n) => `!r${n}:a.example`)

/** mulberry32: small, seeded, good enough to mix items. */
function makeDice(seed: number) {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (n: number) => Math.floor(next() * n)
  const some = (all: readonly string[], n: number) =>
    all
      .map((name) => ({ name, at: next() }))
      .sort((a, b) => a.at - b.at)
      .slice(0, 1 + below(n))
      .map(({ name }) => name)
  return { next, below, some, one: (all: readonly string[]) => all[below(all.length)] ?? '' }
}

describe('ingest beside other appends, turns and the sweep', function () {
  this.timeout(LONGEST_MS + 120_000)

  it('meets no deadlock, and the tables say what the stream says', async () => {
    const seed = Number(process.env['LIMPET_SEED'] ?? Math.floor(Math.random() * 1e9))
    const world = await makeIngestWorld()
    const url = world.url
    // The wait before PostgreSQL looks for a deadlock; short, so that a run meets many.
    await world.pool.query(
      `do $$ begin execute format('alter database %I set deadlock_timeout = ''20ms''', current_database()); end $$`,
    )
    await world.take([
      ...SERVERS.map((name) => servers({ add: [name] }, ROOMS[0])),
      ...ROOMS.map((room) => servers({ set: SERVERS.slice(0, 20) }, room)),
    ])
    await world.pool.query(
      'update destinations set failures = 2, look_at = now_ms(), failing_since = now_ms()',
    )
    const worlds = await Promise.all(Array.from({ length: APPENDERS }, () => makeIngestWorld({ url })))
    const started = performance.now()
    let appended = 0
    const enough = () => {
      const ran = performance.now() - started
      return ran > LONGEST_MS || (ran > RUN_MS && appended > APPENDED)
    }
    const faults: string[] = []
    const during = async (what: string, work: () => Promise<void>) => {
      while (!enough()) {
        try {
          await work()
        } catch (error) {
          const { message, detail = '', where = '' } = error as Error & { detail?: string; where?: string }
          faults.push(`${what}: ${message} ${detail} ${where}`.trim())
        }
      }
    }
    const pool = openPool({ url, max: 10 })
    await Promise.all([
      ...worlds.map((at, n) => {
        const dice = makeDice(seed + n)
        const told: GivenEvent[] = []
        return during('append', async () => {
          const result = await at.take(randomItems(dice, told))
          appended += result.accepted
        })
      }),
      ...[1, 2, 3].map(async (n) => {
        const turns = await makeTurns(pool, makeDice(seed + 100 + n))
        await during('turns', turns)
      }),
      during('sweep', () => sweep(pool)),
    ])
    await Promise.all([pool.end(), ...worlds.map((at) => at.close())])
    expect(faults, `seed ${seed}`).to.deep.equal([])
    expect(appended).to.be.greaterThan(APPENDED)
    expect(await deadlocks(world), `deadlocks, seed ${seed}`).to.equal(0)
    await fitsTogether(world)
    await world.close()
  })
})

function randomItems(dice: ReturnType<typeof makeDice>, told: GivenEvent[]): object[] {
  return Array.from({ length: 1 + dice.below(12) }, () => {
    const room = dice.one(ROOMS)
    const roll = dice.next()
    if (roll < 0.15) return up(dice.one(SERVERS))
    if (roll < 0.3) return servers({ add: dice.some(SERVERS, 15) }, room)
    if (roll < 0.45) return servers({ remove: dice.some(SERVERS, 15) }, room)
    if (roll < 0.55) return servers({ set: dice.some(SERVERS, 30) }, room)
    if (roll < 0.57) return purge(room)
    const before = told[dice.below(told.length)]
    if (roll < 0.67 && before !== undefined) return redact(before)
    const made = roll < 0.85 ? sticky({ room }) : event({ room, also: { also_to: dice.some(SERVERS, 3) } })
    told.push(made)
    return made
  })
}

/** What several turns of one process do to the database: freezes and results that share commits. */
async function makeTurns(pool: Pool, dice: ReturnType<typeof makeDice>): Promise<() => Promise<void>> {
  const worker = randomUUID()
  await registerWorker(pool, { id: worker, name: 'test', leaseMs: 600_000 })
  return async () => {
    const helds: Held[] = []
    for (const name of dice.some(SERVERS, 20)) {
      const taken = await takeDestination(pool, worker, name)
      if (taken.kind === 'taken') helds.push(taken.held)
    }
    const frozen: Frozen[] = []
    for (const held of helds) {
      const state = await loadDestination(pool, held)
      if (state === null) continue
      const positions = await timelinePositions(
        pool,
        held.destination,
        { after: state.position, upto: state.head },
        20,
      )
      frozen.push({
        held,
        txnId: randomUUID(),
        bytes: 2,
        originServerTs: 0,
        readAt: state.head,
        narrowedSeq: state.narrowedSeq,
        soonestLapse: null,
        edusAs: null,
        acknowledges: {
          positions,
          lanes: 't'.repeat(positions.length),
          eventIds: positions.map(String),
          fromPos: state.position,
          toPos: positions.at(-1) ?? state.position,
          gap: null,
          gapCursor: null,
          closesGap: false,
          sticky: state.owed.map(({ room, upto }) => ({ room, upto, cursor: 0 })),
        },
      })
    }
    const started = await freezeTransactions(pool, frozen)
    const results = frozen
      .filter((_, at) => started[at] !== null)
      .map((one) => resultOf(one, dice.next() < 0.5))
    const failed = results.filter(({ answered }) => !answered)
    if (failed.length > 0) await writeAttemptResults(pool, failed)
    for (const result of results.filter(({ answered }) => answered)) {
      await inTransaction(pool, async (db) => {
        await writeAttemptResults(db, [result])
        const { destination } = result.held
        const { sticky: rows, positions } = result.acknowledges
        await moveStickyCursors(db, destination, rows)
        await noteListing(db, {
          destination,
          listed: positions.slice(1),
          ahead: [],
          unlisted: positions.slice(0, 1),
          maxTries: 5,
        })
      })
    }
    for (const held of helds)
      await releaseDestination(pool, held, { wakeSeq: null, lookAt: null, position: null })
  }
}

function resultOf({ held, txnId, acknowledges }: Frozen, answered: boolean): AttemptResult {
  return {
    held,
    txnId,
    startedAt: 0,
    durationMs: 1,
    outcome: answered ? 'answered' : 'failed',
    status: null,
    message: null,
    errorKind: null,
    acknowledges,
    answered,
    discard: true,
    waiting: {
      failures: 2,
      failingSince: 1,
      retryAt: null,
      retryInterval: null,
      holdKind: null,
      holdUntil: null,
      adviceAt: null,
      adviceUp: false,
      adviceAfter: null,
      adviceStep: null,
      ...{ askedAt: null, deadlineAt: null, triedAt: null, deadlineTries: [] },
    },
    timeoutMs: null,
    quick: false,
    lists: true,
    pduErrors: null,
    unlisted: [],
    isolation: null,
  }
}

async function sweep(pool: Pool): Promise<void> {
  await withSweepLock(pool, async (db) => {
    await cutImpossibleWaits(db, { longestMs: 1_000_000, oddMs: [7 * 86_400_000] })
    await noteLapsed(db, 0, null)
    const owed = await findOwed(db)
    await markMissed(db, owed)
    await countBacklogs(db, owed)
    await removeOld(db, 86_400_000)
  })
}

/** As counted by PostgreSQL; the numbers of a backend are complete when it has ended. */
async function deadlocks(world: IngestWorld): Promise<number> {
  await world.pool.query('select pg_stat_force_next_flush()')
  await world.pool.query('select pg_stat_clear_snapshot()')
  return Number(
    await world.value<number>('select deadlocks from pg_stat_database where datname = current_database()'),
  )
}

/** Memberships are what the stream's changes say, one after another. */
async function fitsTogether(world: IngestWorld): Promise<void> {
  const changes = await world.rows<{
    pos: number
    kind: string
    room: number
    added: number[]
    removed: number[]
  }>(
    `select pos, kind, room, coalesce(added, '{}') as added, coalesce(removed, '{}') as removed from changes order by pos`,
  )
  const intervals = new Map<string, [number, number | null][]>()
  for (const { pos, kind, room, added, removed } of changes) {
    if (kind === 'purge')
      for (const key of intervals.keys()) if (key.startsWith(`${room} `)) intervals.delete(key)
    const of = (id: number) => {
      const key = `${room} ${id}`
      const list = intervals.get(key) ?? []
      intervals.set(key, list)
      return list
    }
    for (const id of added) {
      const list = of(id)
      expect(list.at(-1)?.[1], `joined twice at ${pos}`).to.not.equal(null)
      list.push([pos, null])
    }
    for (const id of removed) {
      const last = of(id).at(-1)
      if (last === undefined) throw new Error(`left without a join at ${pos}`)
      last[1] = pos
    }
  }
  const wanted = [...intervals].flatMap(([key, list]) =>
    list.map(([since, until]) => `${key} ${since} ${until ?? '…'}`),
  )
  const found = await world.rows<{ text: string }>(
    `select room || ' ' || destination || ' ' || since || ' ' || coalesce(until::text, '…') as text from memberships`,
  )
  expect(found.map(({ text }) => text).sort()).to.deep.equal(wanted.sort())
  const orphans = `select count(*) from sticky_owed o where o.room is not null and not exists
    (select 1 from memberships m where m.room = o.room and m.destination = o.destination and m.until is null)`
  expect(await world.value(orphans), 'owed to a server that left').to.equal(0)
}
