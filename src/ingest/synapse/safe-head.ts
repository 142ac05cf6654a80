/**
 * What one look at Synapse's database says about the end of its event stream, and whether this Synapse may be read at
 * all.
 *
 * Synapse takes `stream_ordering` from a sequence before the transaction that inserts, so a lower number can be
 * committed after a higher one. After each commit the writer notes in `stream_positions` a value up to which all its
 * own numbers are finished. That value lags for a moment and never leads. There is no row between a change of the
 * writer's name and its first write under the new one, and a second writer has none before its own first write is
 * done. `stream-end.ts` says what may be read then.
 */
import type { Db } from '../../store/db.ts'
import { SERVER } from '../../store/one-server.ts'
import { planned } from './planned.ts'
import { SynapseRefused } from './refused.ts'
import type { StatementName } from '../../store/statement-names.ts'
import { sql } from '../../store/statement.ts'

/** Synapse's schema versions that were read and tried; another one may mean something else by the same columns. */
export const VERIFIED_SCHEMAS: readonly number[] = [94]

/** So many numbers are looked through for one that is missing. */
export const SCANNED = 1_000

/** An event's place in the stream. */
export interface PlacedEvent {
  readonly at: number
  readonly eventId: string
}

export interface StreamLook {
  /** What the event writer has noted; null: no writer of now has noted anything. */
  readonly noted: number | null
  /** `noted`, and without it the newest number that there is; 0: none. */
  readonly newest: number
  /** The lowest number after `after` that is missing, of the first `SCANNED`. */
  readonly gap: number | null
  /** The newest event at or below `newest`. */
  readonly tip: PlacedEvent | null
  /** The events at the numbers that were asked about. */
  readonly found: readonly PlacedEvent[]
  readonly xmin: number
  readonly xmax: number
  /** Whether the server is a standby. */
  readonly standby: boolean
  /** Which server, since which start, and which of its databases. */
  readonly server: string
}

// Number 1 is never used: Synapse's streams begin at 2.
const selectLook = (name: StatementName, more: string) =>
  planned(
    name,
    `with said as (
    select array_agg(instance_name order by instance_name) as writers, max(stream_id) as noted
      from stream_positions where stream_name = 'events'
  ), ended as (
    select writers, noted,
           coalesce(noted, (select max(stream_ordering) from events where stream_ordering > 0), 0) as newest
      from said
  )
  select (select version from schema_version) as schema, e.writers, e.noted, e.newest,
         (select min(n)
            from generate_series(coalesce($1::bigint, greatest(e.newest - ${SCANNED}, 0)) + 1,
                                 least(e.newest, coalesce($1::bigint, e.newest) + ${SCANNED})) n
           where n > 1 and not exists (select from events where stream_ordering = n)
             and not exists (select from current_state_delta_stream where stream_id = n) ${more}) as gap,
         (select json_build_object('at', stream_ordering, 'eventId', event_id) from events
           where stream_ordering > 0 and stream_ordering <= e.newest order by stream_ordering desc limit 1) as tip,
         (select coalesce(json_agg(json_build_object('at', stream_ordering, 'eventId', event_id)), '[]')
            from events where stream_ordering = any($2::bigint[])) as found,
         pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin,
         pg_snapshot_xmax(pg_current_snapshot())::text::bigint as xmax,
         pg_is_in_recovery() as standby, ${SERVER} as server
    from ended e`,
  )

const SELECT_LOOK = selectLook('where does the stream end', '')
// An event that Synapse had as an outlier and now has with its state keeps its number; the one that it was given now is noted here alone.
const SELECT_LOOK_WITH_EX_OUTLIERS = selectLook(
  'where does the stream end beside ex outliers',
  'and not exists (select from ex_outlier_stream where event_stream_ordering = n)',
)

const MAY_READ_EX_OUTLIERS = sql(
  'may ex outliers be read',
  `select has_table_privilege(to_regclass('ex_outlier_stream'), 'select') as may`,
)

/** Whether the table is there, and may be read, that explains most of the numbers that no event has. Older instructions did not grant it. */
export async function mayReadExOutliers(db: Db): Promise<boolean> {
  const { rows } = await db.query<{ may: boolean | null }>(MAY_READ_EX_OUTLIERS)
  return rows[0]?.may === true
}

interface Row extends StreamLook {
  schema: number | null
  writers: string[] | null
}

/**
 * Looks at the stream's end, in one statement. Numbers after `after` are looked through for a missing one (null: the newest),
 * and the events at the numbers `asked` are found.
 * @throws SynapseRefused for an unverified schema or several event writers
 */
export async function readStreamEnd(
  db: Db,
  {
    after,
    asked,
    exOutliers = false,
  }: { after: number | null; asked: readonly number[]; exOutliers?: boolean },
): Promise<StreamLook> {
  const { rows } = await db.query<Row>(exOutliers ? SELECT_LOOK_WITH_EX_OUTLIERS : SELECT_LOOK, [
    after,
    asked,
  ])
  const [row] = rows
  if (row === undefined) throw new Error('Synapse gave no answer about its stream')
  const { schema, writers, ...look } = row
  if (schema === null || !VERIFIED_SCHEMAS.includes(schema)) {
    throw new SynapseRefused(
      `Synapse's schema version is ${schema ?? 'unknown'}, but this limpet was verified with ${VERIFIED_SCHEMAS.join(', ')} only`,
    )
  }
  if (writers !== null && writers.length > 1) {
    throw new SynapseRefused(
      `Synapse has several event writers (${writers.join(', ')}), which is not supported yet`,
    )
  }
  return look
}

const SELECT_BEFORE = planned(
  'find events before a place',
  `select distinct e.stream_ordering as at, e.event_id as "eventId"
    from unnest($1::bigint[]) n cross join lateral (
      select stream_ordering, event_id from events
       where stream_ordering <= n and stream_ordering > 0 order by stream_ordering desc limit 1) e
   order by 1`,
)

/** Events at and before `place`, the farther from it the fewer. */
export async function readPlacesBefore(db: Db, place: number): Promise<PlacedEvent[]> {
  const near = Array.from({ length: 20 }, (_, i) => place - 2 ** i + 1).filter((at) => at > 0)
  return (await db.query<PlacedEvent>(SELECT_BEFORE, [near])).rows
}

const SELECT_DOMAIN = sql(
  'which server name has Synapse',
  `select substr(name, strpos(name, ':') + 1) as domain from users limit 1`,
)

/** @throws SynapseRefused where the users in the database are another homeserver's */
export async function checkServerName(db: Db, serverName: string): Promise<void> {
  const { rows } = await db.query<{ domain: string }>(SELECT_DOMAIN)
  const found = rows[0]?.domain
  if (found !== undefined && found !== serverName) {
    throw new SynapseRefused(`the database belongs to ${found}, but server_name is ${serverName}`)
  }
}

const SELECT_HERE = sql(
  'are the state groups here',
  `select bool_or(exists (select from state_groups_state s where s.state_group = newest.state_group)
                 or exists (select from state_group_edges d where d.state_group = newest.state_group)) as here
       from (select state_group from event_to_state_groups order by state_group desc limit 100) newest`,
)

/**
 * @throws SynapseRefused where the rooms' states are elsewhere (`databases:` with one of its own for `state`): what is left
 * of them here would make rooms look empty, and their events would go to no server
 */
export async function checkStateGroups(db: Db): Promise<void> {
  const { rows } = await db.query<{ here: boolean | null }>(SELECT_HERE)
  // Null: no event was ever written.
  if (rows[0]?.here === false) {
    throw new SynapseRefused(
      "Synapse keeps its rooms' states in another database (`databases:`), which is not supported yet",
    )
  }
}
