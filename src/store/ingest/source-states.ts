/**
 * How are the sources doing that limpet follows? Each process that follows one says so every few seconds, and any
 * process can ask.
 *
 * Several processes may follow one source, and one of them may be cut off from it. What the process that makes
 * progress says counts, while it is fresh. A source about which no process has said anything for a while is stopped.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'

export interface SaidOfSource {
  readonly source: string
  readonly state: 'running' | 'stalled' | 'stopped'
  readonly head: number | null
  readonly place: number | null
  readonly behindMs: number | null
  readonly error: string | null
}

export interface SourceRow {
  name: string
  state: 'running' | 'stalled' | 'stopped'
  /** Our place in its stream, in its own numbering; null: not known yet. */
  position: number | null
  /** How much of its stream is beyond that place, in its own numbering; null: not known. */
  behind: number | null
  since: number
  last_error: { message: string; at: number } | null
  /** For how long something has waited there, ms; 0: nothing does. */
  behind_ms: number
}

/** A word older than this no longer counts. */
const FRESH_MS = 20_000

const IS_FRESH = `s.reported_at > excluded.reported_at - ${FRESH_MS}`
const KEEPS = `(${IS_FRESH} and s.state = 'running'
                and (excluded.state <> 'running' or coalesce(excluded.place < s.place, false)))`
const unlessKept = (column: string, value = `excluded.${column}`) =>
  `${column} = case when ${KEEPS} then s.${column} else ${value} end`

// An error of one process is shown, whichever process reported last.
const UPSERT = sql(
  'say how a source does',
  `insert into source_states as s (source, state, since, head, place, behind_since, reported_at, last_error, error_at)
  select $1, $2, t.now, $3::bigint, $4::bigint, t.now - $5::bigint, t.now, $6::text, case when $6::text is not null then t.now end
    from (select now_ms() as now) t
  on conflict (source) do update
     set ${unlessKept('state')},
         ${unlessKept('since', `case when ${IS_FRESH} and excluded.state = s.state then s.since else excluded.since end`)},
         ${unlessKept('head', 'coalesce(excluded.head, s.head)')},
         ${unlessKept('place', 'coalesce(excluded.place, s.place)')},
         ${unlessKept('behind_since')},
         ${unlessKept('reported_at')},
         last_error = coalesce(excluded.last_error, s.last_error), error_at = coalesce(excluded.error_at, s.error_at)`,
)

/** Writes down what this process says of a source. */
export async function saySourceState(db: Db, said: SaidOfSource): Promise<void> {
  const { source, state, head, place, behindMs, error } = said
  await db.query(UPSERT, [source, state, head, place, behindMs, error?.replaceAll('\0', '') ?? null])
}

const SELECT_STATES = sql(
  'how do the sources do',
  `select s.source as name, case when s.stale then 'stopped' else s.state end as state, s.place as position,
         greatest(s.head - s.place, 0) as behind, case when s.stale and s.state <> 'stopped' then s.reported_at else s.since end as since,
         case when s.last_error is not null then json_build_object('message', s.last_error, 'at', s.error_at) end as last_error,
         greatest(s.now - case when s.stale or s.state = 'stopped' then least(s.behind_since, s.reported_at)
                               else s.behind_since end, 0)::bigint as behind_ms
    from (select o.*, t.now, o.reported_at < t.now - ${FRESH_MS} as stale
            from source_states o cross join (select now_ms() as now) t) s
   order by s.source`,
)

/** Every source that limpet follows or has followed, by name. */
export async function readSourceStates(db: Db): Promise<SourceRow[]> {
  return (await db.query<SourceRow>(SELECT_STATES)).rows
}
