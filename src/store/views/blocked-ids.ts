/**
 * Which destinations do the lists of names in the configuration block? Names are matched here, not in the database.
 *
 * Read anew each time, some 10 ms for 10,000 destinations: a copy in memory would be wrong after a failover to an older state. Nobody
 * asks where no list is configured.
 */
import type { VetDomain } from '../../allow/domains.ts'
import type { ServerName } from '../../matrix/ids.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

const NAMES = sql('read the names of all', 'select id, name from destinations')

export async function readBlockedIds(db: Db, vetDomain: VetDomain): Promise<number[]> {
  const { rows } = await db.query<{ id: number; name: ServerName }>(NAMES)
  return rows.filter(({ name }) => vetDomain(name) !== null).map(({ id }) => id)
}
