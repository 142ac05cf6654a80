/**
 * Which unanswered transactions carry a text that is taken away? Theirs are marked void in the same commit: the row stays, so
 * that its attempt, if one is under way, ends by itself; the next one plans anew.
 *
 * Under the content lock nothing is frozen, so what is found can only become less. All of them are looked through once,
 * however much goes: each on its own for each event took seconds under the lock that everybody needs.
 */
import type { Db } from './db.ts'
import { planFor } from './prepare.ts'

// $1 positions, $2 and $3 the first and last of them. Positions of a transaction are in their order, so most are left out by their ends.
const OF_EVENTS = `
  select distinct o.destination
    from open_transactions o
    cross join lateral unnest(o.positions) p (pos)
    join unnest($1::bigint[]) t (pos) on t.pos = p.pos
   where not o.void and o.positions[1] <= $3 and o.positions[cardinality(o.positions)] >= $2`

// $1 rooms.
const OF_ROOMS = `
  select distinct o.destination
    from open_transactions o
    cross join lateral unnest(o.positions) p (pos)
    join (select pos from events where room = any($1) union all select pos from kept_events where room = any($1)) e on e.pos = p.pos
   where not o.void`

/** Destinations whose open transaction holds one of these. Hold the content lock. */
export async function findHolders(
  db: Db,
  { positions, rooms }: { positions: readonly number[]; rooms: readonly number[] },
): Promise<number[]> {
  const found = new Set<number>()
  const find = async (sql: string, values: unknown[]) => {
    const { rows } = await db.query<{ destination: number }>(sql, values)
    for (const { destination } of rows) found.add(destination)
  }
  if (positions.length > 0) {
    const [first, last] = positions.reduce(
      ([a, b], pos) => [Math.min(a, pos), Math.max(b, pos)],
      [Infinity, 0],
    )
    await find(planFor(positions.length, OF_EVENTS), [positions, first, last])
  }
  if (rooms.length > 0) await find(OF_ROOMS, [rooms])
  return [...found]
}

/** Their rows are locked: none of theirs has another since. */
export async function makeVoid(db: Db, destinations: readonly number[]): Promise<void> {
  if (destinations.length === 0) return
  await db.query('update open_transactions set void = true where destination = any($1) and not void', [
    destinations,
  ])
}
