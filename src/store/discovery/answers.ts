/**
 * What server discovery was answered, for all processes: who finds nothing fresh claims the lookup, the others wait for its answer.
 *
 * Ages are by the database's clock, so that processes with different clocks see the same age. Nothing here says who is sent what: where
 * it is lost, everything is looked up again.
 */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import { CLAIM_MS, LONGEST_LIFE_MS } from '../../pace/shared-answers.ts'
import type { Claimed, SharedAnswers } from '../../pace/shared-answers.ts'

/** Nobody knows, it is time to ask again, or it comes from the future: then the database's clock was set back, and says nothing of its age. */
const IS_DUE = '(d.at is null or d.at > now_ms() or now_ms() - d.at >= d.refresh_ms)'
/** By another process, $2 being ours. */
const IS_HELD = '(d.claimed_by is not null and d.claimed_by <> $2::uuid and d.claimed_until > now_ms())'

// $1 key, $2 who asks, $3 although it is fresh. Whoever only reads writes nothing, and locks nothing: `on conflict` would lock the row
// whatever its condition says. It is asked there again, for another process may have been first since. The row that another process
// inserts meanwhile is not to be seen yet: then there is none.
const CLAIM = sql(
  'claim a lookup',
  `with mine as (
    insert into discovered as d (key, claimed_by, claimed_until)
    select $1, $2::uuid, now_ms() + ${CLAIM_MS}
     where not exists (select from discovered d where d.key = $1 and (${IS_HELD} or not ($3::boolean or ${IS_DUE})))
    on conflict (key) do update set claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
     where not ${IS_HELD} and ($3::boolean or ${IS_DUE})
    returning key, answer, at, refresh_ms, fresh_ms, keep_ms, failures)
  select 'ours' as claim, answer, now_ms() - at as age_ms, refresh_ms, fresh_ms, keep_ms, failures from mine
  union all
  select case when $3::boolean or ${IS_DUE} then 'theirs' else 'not needed' end,
         d.answer, now_ms() - d.at, d.refresh_ms, d.fresh_ms, d.keep_ms, d.failures
    from discovered d where d.key = $1 and not exists (select 1 from mine)`,
)

// $1 key, $2 who stores it, $3 answer, $4 its age, $5 to $8 what it is worth. A claim of another process stays: it looks it up.
const STORE = sql(
  'store an answer',
  `insert into discovered as d (key, answer, at, refresh_ms, fresh_ms, keep_ms, failures)
   values ($1, $3, (now_ms() - $4::double precision)::bigint, $5, $6, $7, $8)
   on conflict (key) do update set answer = excluded.answer, at = excluded.at, refresh_ms = excluded.refresh_ms, fresh_ms = excluded.fresh_ms,
     keep_ms = excluded.keep_ms, failures = excluded.failures,
     claimed_by = case when ${IS_HELD} then d.claimed_by end, claimed_until = case when ${IS_HELD} then d.claimed_until else 0 end
   where d.at is null or d.at <= excluded.at or d.at > now_ms()`,
)

const LET_GO = sql(
  'end the claim of a lookup',
  `update discovered set claimed_by = null, claimed_until = 0 where key = $1 and claimed_by = $2`,
)

const IS_OLD = `((d.at < now_ms() - ${LONGEST_LIFE_MS} or d.at is null) and d.claimed_until < now_ms())`

// The condition is there twice: what was claimed or stored between the choice and the delete stays.
const FORGET = sql(
  'forget old answers',
  `delete from discovered d where ctid = any(array(select ctid from discovered d where ${IS_OLD} limit 5000)) and ${IS_OLD}`,
)

interface AnswerRow {
  claim: Claimed['claim']
  answer: string | null
  age_ms: number
  refresh_ms: number
  fresh_ms: number
  keep_ms: number
  failures: number
}

/** `process`: an id of this process alone. */
export function makeAnswers(db: Db, process: string): SharedAnswers {
  return {
    async claim(key, anew) {
      const { rows } = await db.query<AnswerRow>(CLAIM, [key, process, anew])
      const [row] = rows
      if (row === undefined) return { claim: 'theirs', stored: null }
      const {
        answer,
        age_ms: ageMs,
        refresh_ms: refreshMs,
        fresh_ms: freshMs,
        keep_ms: keepMs,
        failures,
      } = row
      const stored = answer === null ? null : { text: answer, ageMs, refreshMs, freshMs, keepMs, failures }
      return { claim: row.claim, stored }
    },
    async store(key, { text, ageMs, refreshMs, freshMs, keepMs, failures }) {
      const values = [key, process, text, ageMs, refreshMs, freshMs, keepMs, failures]
      const { rowCount } = await db.query(STORE, values)
      // What is stored came later. Our claim must end all the same, or the others wait for it until its time is over.
      if (rowCount === 0) await db.query(LET_GO, [key, process])
    },
    async letGo(key) {
      await db.query(LET_GO, [key, process])
    },
  }
}

/** What nobody may use any more; some thousands at a time. */
export async function forgetOldAnswers(db: Db): Promise<void> {
  await db.query(FORGET)
}
