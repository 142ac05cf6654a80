/**
 * Which unanswered transactions carry a text, or an EDU, that is taken away? They are marked void in the same commit. The row
 * stays, so that an attempt that is under way ends by itself; the next attempt plans anew.
 *
 * Under the content lock nothing is frozen, so the set can only shrink. All transactions are looked through once,
 * however many texts go: one look for each event took seconds, under a lock that everything needs.
 */
import type { Db } from '../db.ts'
import { isMany, planFor } from '../prepare.ts'
import { sql, type Sql } from '../statement.ts'

// $1 positions, $2 and $3 the first and last of them. Positions of a transaction are in their order, so most are left out by
// their ends. Many are looked up in a hash that PostgreSQL makes of a list that it knows when it plans (14 and newer, of nine and
// more); compared one by one, 1,000 with those of 5,000 transactions took seconds, as did a join. A few are compared. The list is taken
// apart in the select list: in FROM, each one's positions are first written to a store, which was two thirds of the time.
const ofEvents = (holdsOne: string) => `
  select o.destination from open_transactions o
   where not o.void and o.positions[1] <= $3 and o.positions[cardinality(o.positions)] >= $2 and ${holdsOne}`
const OF_FEW = sql('who holds what is redacted', ofEvents('o.positions && $1::bigint[]'))
const OF_MANY = sql(
  'who holds much that is redacted',
  ofEvents('exists (select 1 from (select unnest(o.positions) as p) u where u.p = any($1::bigint[]))'),
)

// $1 rooms. Of EDUs only those go that are not durable and for the servers of one room alone.
const OF_ROOMS = sql(
  'who holds what is purged',
  `select o.destination
    from open_transactions o
    cross join lateral unnest(o.positions) p (pos)
    join (select pos from events where room = any($1) union all select pos from kept_events where room = any($1)) e on e.pos = p.pos
   where not o.void
   union
  select o.destination
    from open_transactions o
    cross join lateral unnest(o.edu_positions) p (pos)
    join edus e on e.pos = p.pos and e.room = any($1) and not e.durable
   where not o.void and o.edu_txn = o.txn_id`,
)

/** Destinations whose open transaction holds one of these. Hold the content lock. */
export async function findHolders(
  db: Db,
  { positions, rooms }: { positions: readonly number[]; rooms: readonly number[] },
): Promise<number[]> {
  const found = new Set<number>()
  const find = async (statement: Sql, values: unknown[]) => {
    const { rows } = await db.query<{ destination: number }>(statement, values)
    for (const { destination } of rows) found.add(destination)
  }
  if (positions.length > 0) {
    const sorted = [...positions].sort((a, b) => a - b)
    const statement = isMany(positions.length) ? planFor(positions.length, OF_MANY) : OF_FEW
    await find(statement, [sorted, sorted[0], sorted.at(-1)])
  }
  if (rooms.length > 0) await find(OF_ROOMS, [rooms])
  return [...found]
}

const MAKE_VOID = sql(
  'make void what holds it',
  'update open_transactions set void = true where destination = any($1) and not void',
)

/** Their rows are locked: none of theirs has another since. */
export async function makeVoid(db: Db, destinations: readonly number[]): Promise<void> {
  if (destinations.length === 0) return
  await db.query(MAKE_VOID, [destinations])
}
