/**
 * How far Synapse's event stream may be read, and whether this Synapse may be read at all.
 *
 * Synapse takes `stream_ordering` from a sequence before the transaction that inserts, so a lower one can be
 * committed after a higher one. After each commit the writer notes in `stream_positions` a value up to which
 * all of its own are finished; with one writer that is the safe bound. It lags for a moment, never leads.
 */
import type { Db } from '../../store/db.ts'
import { SynapseRefused } from './refused.ts'

/** Synapse's schema versions that were read and tried; another one may mean something else by the same columns. */
export const VERIFIED_SCHEMAS: readonly number[] = [94]

const SELECT_HEAD = `
  select (select version from schema_version) as schema,
         (select array_agg(instance_name order by instance_name)
            from stream_positions where stream_name = 'events') as writers,
         (select max(stream_id) from stream_positions where stream_name = 'events') as head`

/**
 * The newest `stream_ordering` up to which everything is committed; null where no writer of now has noted one yet: none
 * has written since it became the writer.
 * @throws SynapseRefused for an unverified schema or several event writers
 */
export async function readSafeHead(db: Db): Promise<number | null> {
  const { rows } = await db.query<{ schema: number | null; writers: string[] | null; head: number | null }>(
    SELECT_HEAD,
  )
  const { schema = null, writers = null, head = null } = rows[0] ?? {}
  if (schema === null || !VERIFIED_SCHEMAS.includes(schema)) {
    throw new SynapseRefused(
      `Synapse's schema version is ${schema ?? 'unknown'}, and this limpet was verified with ${VERIFIED_SCHEMAS.join(', ')} only`,
    )
  }
  if (writers !== null && writers.length > 1) {
    throw new SynapseRefused(
      `Synapse has several event writers (${writers.join(', ')}), which is not supported yet`,
    )
  }
  return head
}

/** The newest `stream_ordering` there is; 0: none. */
export async function readNewest(db: Db): Promise<number> {
  const { rows } = await db.query<{ newest: number | null }>(
    'select max(stream_ordering) as newest from events where stream_ordering > 0',
  )
  return rows[0]?.newest ?? 0
}

/** @throws SynapseRefused where the users in the database are another homeserver's */
export async function checkServerName(db: Db, serverName: string): Promise<void> {
  const { rows } = await db.query<{ domain: string }>(
    `select substr(name, strpos(name, ':') + 1) as domain from users limit 1`,
  )
  const found = rows[0]?.domain
  if (found !== undefined && found !== serverName) {
    throw new SynapseRefused(`the database belongs to ${found}, and server_name is ${serverName}`)
  }
}

/**
 * @throws SynapseRefused where the rooms' states are elsewhere (`databases:` with one of its own for `state`): what is left
 * of them here would make rooms look empty, and their events would go to nobody
 */
export async function checkStateGroups(db: Db): Promise<void> {
  const { rows } = await db.query<{ here: boolean | null }>(
    `select bool_or(exists (select from state_groups_state s where s.state_group = newest.state_group)
                 or exists (select from state_group_edges d where d.state_group = newest.state_group)) as here
       from (select state_group from event_to_state_groups order by state_group desc limit 100) newest`,
  )
  // Null: no event was ever written.
  if (rows[0]?.here === false) {
    throw new SynapseRefused(
      "Synapse's rooms have their states in another database (`databases:`), which is not supported yet",
    )
  }
}
