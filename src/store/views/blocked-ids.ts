/**
 * Which destinations do the lists of names in the configuration and the operator's blocks name? Names are matched here, not in the database.
 *
 * Read anew each time, some 10 ms for 10,000 destinations: a copy in memory would be wrong after a failover to an older state. Nothing is
 * read where nobody is blocked.
 */
import type { VetDomain } from '../../allow/domains.ts'
import type { ServerName } from '../../matrix/ids.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

const NAMES = sql('read the names of all', 'select id, name from destinations')

export async function readBlockedIds(db: Db, vetDomain: VetDomain): Promise<number[]> {
  if (vetDomain.blocksNobody?.() === true) return []
  const { rows } = await db.query<{ id: number; name: ServerName }>(NAMES)
  return rows.filter(({ name }) => vetDomain(name) !== null).map(({ id }) => id)
}

/** The names of those that `matches`, in their order. */
export async function readNames(db: Db, matches: (name: ServerName) => boolean): Promise<ServerName[]> {
  const { rows } = await db.query<{ id: number; name: ServerName }>(NAMES)
  return rows
    .map(({ name }) => name)
    .filter(matches)
    .sort()
}
