/**
 * The real PostgreSQL under the model's schedules, and the one in memory beside it: every statement is run on both,
 * and both must give the same. So what is shown on the one in memory holds for the real one.
 *
 * Processes are held between transactions only: in one, a process that waits for its locks would wait unseen.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import { openPool, type Pool } from '../../src/store/db.ts'
import type { Connection, ModelDatabase } from './database.ts'
import { memoryDatabase } from './database.ts'
import type { Logged } from './memory/pool.ts'
import { TABLES } from './memory/rows.ts'
import { isBegin, nameOf, type TwinName } from './memory/statement.ts'
import { FIRST_LIST } from './memory/tables.ts'
import { violated } from './watch.ts'

/** A pool on a database whose clock stands still unless the model moves it. */
async function openModelDatabase(url: string): Promise<Pool> {
  const pool = openPool({ url, max: 12 })
  // A schedule that failed has its connections ended.
  pool.on('connect', (client) => client.on('error', () => undefined))
  await pool.query(
    `insert into settings (key, value) values ('clock_offset_ms', '0') on conflict (key) do nothing`,
  )
  await pool.query(
    `create or replace function now_ms() returns bigint language sql stable as
     $$ select value::bigint from settings where key = 'clock_offset_ms' $$`,
  )
  return pool
}

const START = 1_700_000_000_000

/** Tables that begin with a row. */
const WITH_A_ROW: readonly string[] = ['stream', 'cursors', 'seen_time', 'block_list']
const EMPTY = `
  truncate ${TABLES.filter((table) => !WITH_A_ROW.includes(table)).join(', ')} restart identity;
  update stream set head = 0, log_floor = 0, durable_head = 0, edu_head = 0;
  update seen_time set seen_ms = 0;
  update block_list set version = '${FIRST_LIST}';
  update cursors set pos = 0 where name in ('fanout', 'own_trouble');
  delete from cursors where name not in ('fanout', 'own_trouble');
  update settings set value = '${START}' where key = 'clock_offset_ms'`

/** Of a process that is no longer there. */
const never = new Promise<never>(() => undefined)

/** Nobody decides by what these give. */
const NOT_COMPARED: ReadonlySet<string> = new Set<TwinName>([
  ...(['lock', 'share the content lock', 'count what a purge gives up'] as const),
  'count the EDUs that a purge gives up',
  ...(['add to a counter', 'remove old attempts'] as const),
])

/** Gives each schedule all of the database at `url` for itself: one at a time. */
export function makeTwins(url: string): { fresh: () => Promise<ModelDatabase>; end: () => Promise<void> } {
  let pool: Promise<Pool> | null = null
  return {
    async fresh() {
      pool ??= openModelDatabase(url)
      const twin = await twinDatabase(await pool)
      return {
        ...twin,
        // What a schedule that failed has under way must not reach into the next one.
        close: async (well) => {
          await twin.leave()
          if (well) return
          const old = pool
          pool = null
          const others =
            'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()'
          await (await old)?.query(others).catch(() => undefined)
        },
      }
    },
    end: async () => {
      await (await pool)?.end()
    },
  }
}

async function twinDatabase(pool: Pool): Promise<ModelDatabase & { leave(): Promise<void> }> {
  await pool.query(EMPTY)
  const memory = memoryDatabase()
  const taken = new Set<(broken?: Error) => void>()
  /** Statements on their way to PostgreSQL, outside transactions. */
  const sent = new Set<Promise<unknown>>()
  let isOver = false
  let line: Promise<unknown> = Promise.resolve()

  function connect(onCommitted: (log: readonly Logged[], view: never) => void): Connection {
    const twin = memory.connect((log, view) => {
      onCommitted(log, view as never)
    })

    interface Answer {
      rows: object[]
      rowCount: number | null
    }
    async function both(
      real: Promise<Answer>,
      imitate: () => Promise<Answer>,
      what: { text: string; values: readonly unknown[] },
    ): Promise<Answer> {
      const [given] = await Promise.allSettled([real])
      const name = nameOf(what.text)
      if (given.status === 'rejected') throw given.reason
      const imitated = await imitate()
      if (!NOT_COMPARED.has(name) && !isSame(given.value, imitated)) {
        const show = (one: Answer) => inspect({ rowCount: one.rowCount, rows: one.rows }, { depth: 6 })
        violated(
          'both databases give the same',
          `“${name}” with ${inspect(what.values, { depth: 4 })}\nPostgreSQL: ${show(given.value)}\nin memory: ${show(imitated)}`,
        )
      }
      return given.value
    }

    // One after the other: of two at once the one in memory could take the second first, as its turn comes with PostgreSQL's answer. What
    // is in a transaction does not stand in this line: others wait for its locks.
    function query(text: string, values: readonly unknown[] = []) {
      const answer = line.then(() => {
        if (isOver) return never
        const real = pool.query<object>(text, values as unknown[])
        sent.add(real)
        const got = () => sent.delete(real)
        real.then(got, got)
        return both(real, () => twin.pool.query<object>(text, values as unknown[]), { text, values })
      })
      line = answer.catch(() => undefined)
      return answer
    }

    async function connectClient() {
      const client = await pool.connect()
      const other = await twin.pool.connect()
      const release = (broken?: Error) => {
        if (!taken.delete(release)) return
        client.release(broken)
        other.release()
      }
      taken.add(release)
      return {
        async query(text: string, values: readonly unknown[] = []) {
          if (isBegin(text) || ['commit', 'rollback'].includes(text)) {
            const result = await client.query(text)
            await other.query(text)
            return result
          }
          const what = { text, values }
          return both(
            client.query<object>(text, values as unknown[]),
            () => other.query<object>(text, values as unknown[]),
            what,
          )
        },
        release,
        on: () => undefined,
        off: () => undefined,
      }
    }

    return {
      ...twin,
      pool: { query, connect: connectClient, on: () => undefined } as unknown as Pool,
      ...{ sync: false, stepsInTransactions: false },
    }
  }

  return {
    ...memory,
    connect: connect,
    moveClock: async (byMs) => {
      await memory.moveClock(byMs)
      await pool.query(
        `update settings set value = (value::bigint + $1)::text where key = 'clock_offset_ms'`,
        [Math.round(byMs)],
      )
    },
    endLease: async (worker, at) => {
      await memory.endLease(worker, at)
      await pool.query('update workers set lease_until = $2 where id = $1', [worker, at])
    },
    renew: async (worker, ms) => {
      await memory.renew(worker, ms)
      await pool.query('update workers set lease_until = now_ms() + $2 where id = $1', [worker, ms])
    },
    backUp: () => null,
    standBy: () => null,
    /**
     * Resolves once nothing of this schedule reaches PostgreSQL any more: a process that was killed, or left behind, may have had a statement under
     * way, and what that writes would meet the next schedule's rows.
     */
    leave: async () => {
      isOver = true
      // A process that died in a transaction gives its connection back to nobody.
      for (const release of taken) release(new Error('the schedule is over'))
      await Promise.allSettled(sent)
    },
  }
}

/** Order is only asked where the statement gives one; then what follows from it would differ. */
function isSame(
  a: { rows: object[]; rowCount: number | null },
  b: { rows: object[]; rowCount: number | null },
) {
  return a.rowCount === b.rowCount && isDeepStrictEqual(sorted(a.rows), sorted(b.rows))
}

function sorted(rows: object[]): unknown[] {
  return rows.map((row) => plain(row)).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
}

const isOfObjects = (value: unknown): value is object[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'object' && one !== null)

/** Columns by name; lists of rooms have no order. */
function plain(row: object): unknown {
  const columns = Object.entries(row as Record<string, unknown>).sort(([a], [b]) => (a < b ? -1 : 1))
  return columns.map(([name, value]) => [
    name,
    ['owed', 'rooms'].includes(name) && isOfObjects(value) ? sorted(value) : value,
  ])
}
