/**
 * Writes down what an attempt came to: position and backoff, the end of the open transaction, and a row
 * for `limpet destination` and `explain`. One statement for many destinations, each by compare-and-set
 * under its own fence: a worker whose lease is over writes nothing. It is the one statement that ends an open transaction
 * with nothing in its place, answered or not.
 */
import { isRefusedForGood, type Db } from '../db.ts'
import type { DestinationState, StoredAcknowledges } from './destination.ts'
import { ALIVE, HELD_AS_SAID, IN_ORDER } from '../held.ts'
import type { Isolation } from '../isolation.ts'
import type { Held } from './leases.ts'
import { planByKey } from '../prepare.ts'
import { sql } from '../statement.ts'
import { withoutRefusals } from '../waits.ts'

/** Newest attempts kept for a destination. */
export const KEPT_ATTEMPTS = 100

export interface AttemptResult {
  held: Held
  /** Null: the destination could not be reached, and nothing had been planned for it. */
  txnId: string | null
  startedAt: number
  durationMs: number
  outcome: 'answered' | 'failed' | 'never_left' | 'busy' | 'gone'
  status: number | null
  message: string | null
  errorKind: string | null
  acknowledges: StoredAcknowledges
  /** The destination answered for it: its position moves and the open transaction ends. */
  answered: boolean
  /** It provably never left, or was refused in a way that ends it: what it held is planned anew. */
  discard: boolean
  /** It ends so, and may have arrived: what of it is not durable is not sent under a second id. Absent: it can't have. */
  mayHaveArrived?: boolean
  waiting: DestinationState['waiting']
  /** Failures when the attempt began; absent: none. */
  failuresBefore?: number
  timeoutMs: number | null
  quick: boolean
  lists: boolean
  pduErrors: Record<string, string> | null
  unlisted: number[]
  /** What is known of refusals after it. */
  isolation: Isolation | null
}

const END = sql(
  'end the attempt',
  `with input as (
    select (t->>'destination')::int as destination, (t->>'worker')::uuid as worker, (t->>'fence')::bigint as fence,
           t->>'txnId' as txn_id, (t->>'startedAt')::bigint as started_at, (t->>'answered')::boolean as answered,
           (t->>'ends')::boolean as ends, t ? 'outcome' as attempted, t->'waiting' as w, t as t
      -- A number is given so that PostgreSQL does not expect a hundred, for which it would read all destinations.
      from jsonb_array_elements($1::jsonb) t limit $2
  ), locked as (
    -- Only an operator's reset empties failures while we hold it. Then of this attempt only what a 429 or 410 asks for still counts.
    select d.id, d.lease_owner, d.fence, i.worker, case when (t->>'failuresBefore')::int > 0 and d.failures = 0
                      then jsonb_build_object('failures', 0) || case when t->>'outcome' in ('busy', 'gone')
                           then jsonb_build_object('holdKind', w->'holdKind', 'holdUntil', w->'holdUntil') else '{}' end
                      else w end as n,
           case when (t->>'failuresBefore')::int > 0 and d.failures = 0 then ${withoutRefusals("(t->'isolation')")}
                else nullif(t->'isolation', 'null') end as isolation
      from destinations d join input i on i.destination = d.id ${IN_ORDER}
  ), ${ALIVE}, written as (
    update destinations d
       set position = case when i.answered then (t->>'toPos')::bigint else d.position end,
           durable_pos = greatest(d.durable_pos, case when i.answered then (t->>'durableTo')::bigint end),
           ephemeral_pos = greatest(d.ephemeral_pos, case when i.answered or (t->>'mayHaveArrived')::boolean then (t->>'ephemeralTo')::bigint end),
           failures = (n->>'failures')::int, failing_since = (n->>'failingSince')::bigint,
           retry_at = (n->>'retryAt')::bigint, retry_interval = (n->>'retryInterval')::bigint,
           hold_kind = n->>'holdKind', hold_until = (n->>'holdUntil')::bigint,
           -- Advice and wishes that came while the attempt was under way are kept. look_at is written when the holder lets go.
           advice_at = case when d.advice_at > i.started_at then greatest(d.advice_at, (n->>'adviceAfter')::bigint) end,
           advice_up = d.advice_up and d.advice_at > i.started_at,
           advice_after = (n->>'adviceAfter')::bigint, advice_step = (n->>'adviceStep')::bigint,
           asked_at = case when d.asked_at > i.started_at then d.asked_at end,
           deadline_at = null, tried_at = (n->>'triedAt')::bigint,
           deadline_tries = nullif(array(select jsonb_array_elements_text(n->'deadlineTries')::bigint), '{}'),
           isolation = l.isolation,
           timeout_ms = (t->>'timeoutMs')::int, quick = (t->>'quick')::boolean, lists = (t->>'lists')::boolean,
           last_success = case when i.answered then o.now else d.last_success end,
           -- One that met nobody was not frozen, so nothing has written it down yet.
           last_attempt = greatest(d.last_attempt, i.started_at),
           last_error = case when t->'error' = 'null'::jsonb then d.last_error
                             else (t->'error') || jsonb_build_object('at', o.now) end,
           attempt_seq = d.attempt_seq + 1
      from input i, alive o, locked l
     where ${HELD_AS_SAID} and i.attempted
       and o.worker = i.worker
       -- Only its holder moves a position, so this asks the same once more.
       and (not i.answered or d.position = (t->>'fromPos')::bigint)
    returning d.id, d.attempt_seq
  ), dropped as (
    select i.destination as id from input i, alive o, locked d
     where not i.attempted and d.id = i.destination and d.lease_owner = i.worker and d.fence = i.fence and o.worker = i.worker
  ), passed as (
    -- It may have arrived: what of it is not durable is not sent under a second id.
    update destinations d set ephemeral_pos = greatest(d.ephemeral_pos, o.ephemeral_to)
      from dropped x join input i on i.destination = x.id join open_transactions o on o.destination = x.id and o.txn_id = i.txn_id and o.edu_txn = o.txn_id
     where d.id = x.id and (t->>'handed')::boolean
  ), ended as (
    delete from open_transactions o using input i, (select id from written union all select id from dropped) d
     where o.destination = d.id and i.destination = d.id and i.ends and o.txn_id = i.txn_id
    returning o.destination, i.attempted
  ), pruned as (
    delete from attempts a using written d where a.destination = d.id and a.seq <= d.attempt_seq - ${KEPT_ATTEMPTS}
  ), noted as (
    insert into attempts (destination, seq, at, txn_id, duration_ms, outcome, status, message, pdus, edus, positions, lanes,
        from_pos, to_pos, pdu_errors, unlisted)
    select d.id, d.attempt_seq, i.started_at, i.txn_id, (t->>'durationMs')::int, t->>'outcome', (t->>'status')::int,
           t->>'message', jsonb_array_length(t->'positions'), (t->>'edus')::int,
           array(select jsonb_array_elements_text(t->'positions')::bigint), t->>'lanes',
           (t->>'fromPos')::bigint, (t->>'toPos')::bigint, nullif(t->'pduErrors', 'null'::jsonb),
           array(select jsonb_array_elements_text(t->'unlisted')::bigint)
      from input i join written d on d.id = i.destination
    returning destination
  )
  select destination from noted union all select destination from ended where not attempted`,
)

/** Per result: whether it was written (false: the lease was over, another worker serves the destination now). */
export async function writeAttemptResults(db: Db, results: readonly AttemptResult[]): Promise<boolean[]> {
  const input = results.map(({ held, acknowledges, ...rest }) => ({
    ...rest,
    destination: held.destination,
    worker: held.worker,
    fence: held.fence,
    ends: rest.answered || rest.discard,
    positions: acknowledges.positions,
    lanes: acknowledges.lanes,
    fromPos: acknowledges.fromPos,
    toPos: acknowledges.toPos,
    edus: acknowledges.edus?.count ?? 0,
    durableTo: acknowledges.edus?.durableTo ?? null,
    ephemeralTo: acknowledges.edus?.ephemeralTo ?? null,
    error:
      rest.errorKind === null ? null : { kind: rest.errorKind, status: rest.status, message: rest.message },
  }))
  const { rows } = await db.query<{ destination: number }>(planByKey(results.length, END), [
    JSON.stringify(input),
    results.length,
  ])
  const written = new Set(rows.map(({ destination }) => destination))
  return results.map(({ held }) => written.has(held.destination))
}

/**
 * Ends the open transaction without an attempt: it is void, too old for receivers to remember, or never left. What it held is planned anew; but where it may
 * have arrived (`handed`), not its EDUs that are not durable.
 */
export async function dropTransaction(
  db: Db,
  { destination, worker, fence }: Held,
  txnId: string,
  { handed }: { handed: boolean } = { handed: true },
): Promise<void> {
  await db.query(END, [JSON.stringify([{ destination, worker, fence, txnId, handed, ends: true }]), 1])
}

/**
 * The same as `writeAttemptResults`, each by itself where PostgreSQL refuses them together: one that can't be written takes no other with it. Its
 * place has the error.
 */
export async function writeResultsApart(
  db: Db,
  results: readonly AttemptResult[],
): Promise<(boolean | Error)[]> {
  try {
    return await writeAttemptResults(db, results)
  } catch (error) {
    if (results.length < 2 || !isRefusedForGood(error)) throw error
  }
  const written: (boolean | Error)[] = []
  for (const result of results) {
    try {
      written.push(...(await writeAttemptResults(db, [result])))
    } catch (error) {
      written.push(error as Error)
    }
  }
  return written
}
