/**
 * How many destinations are in which state? Counted by the database: the gauges and `limpet status` need no row of any.
 *
 * The rule is that of `nextAttempt` and `isDead` (`deliver/rules/backoff.ts`) and `stateOf` (`explain/destination.ts`), in SQL; their test compares
 * the two, row by row.
 */
import type { VetDomain } from '../../allow/domains.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { readBlockedIds } from './blocked-ids.ts'
import { LOCKED_OUT } from './destination-row.ts'
import { OWED_DURABLE_EDUS } from './owed-edus.ts'

// least() and greatest() skip nulls, as they have to here.
const DUE = 'least(coalesce(d.retry_at, n.now), d.advice_at, d.deadline_at, d.asked_at)'
const NEXT_ATTEMPT = `case when d.hold_until is null or d.hold_until <= n.now then ${DUE}
              when d.hold_kind = 'retry_after' then greatest(${DUE}, d.hold_until)
              else least(greatest(${DUE}, d.hold_until), d.asked_at, case when d.advice_up then d.advice_at end) end`

// $1: after how long one that fails is dead, ms.
const select = (first: string, join: string) => `
  select case ${first} when d.paused then 'paused'
            when n.now - d.failing_since > $1 then 'dead'
            when ${LOCKED_OUT} then 'refused'
            when ${NEXT_ATTEMPT} > n.now then 'backing_off'
            when g.id is not null then 'catching_up'
            when d.pending_pdus > 0 or d.pending_sticky > 0 or o.destination is not null or u.id is not null then 'sending'
            else 'idle' end as state,
         count(*) as n
    from destinations d
    cross join (select now_ms() as now offset 0) n
    left join gaps g on g.destination = d.id and g.closed_at is null
    left join open_transactions o on o.destination = d.id
    left join ${OWED_DURABLE_EDUS} u on u.id = d.id
    ${join}
   group by 1`

const COUNT = sql('count the states', select('', ''))

// $2: ids of those that are blocked.
const COUNT_BESIDE = sql(
  'count the states beside those that are blocked',
  select(`when b.id is not null then 'blocked'`, 'left join unnest($2::int[]) b (id) on b.id = d.id'),
)

/** States that no destination is in are left out. `vetDomain` null: none is blocked. */
export async function countStates(
  db: Db,
  { vetDomain, deadAfterMs }: { vetDomain: VetDomain | null; deadAfterMs: number },
): Promise<Record<string, number>> {
  const blocked = vetDomain === null ? [] : await readBlockedIds(db, vetDomain)
  const { rows } =
    blocked.length === 0
      ? await db.query<{ state: string; n: number }>(COUNT, [deadAfterMs])
      : await db.query<{ state: string; n: number }>(COUNT_BESIDE, [deadAfterMs, blocked])
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]))
}
