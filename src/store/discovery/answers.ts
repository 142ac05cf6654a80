/**
 * What server discovery was answered, for all processes: who finds nothing fresh claims the lookup, the others wait for its answer.
 *
 * Ages are by the database's clock, so that processes with different clocks see the same age. Nothing here says who is sent what: where
 * it is lost, everything is looked up again.
 */
import { makeBatcher } from '../../pace/batcher.ts'
import type { Db } from '../db.ts'
import { FEW_BY_KEY } from '../prepare.ts'
import { sql } from '../statement.ts'
import { CLAIM_MS, LONGEST_LIFE_MS } from '../../pace/shared-answers.ts'
import type { Claimed, SharedAnswers, StoredAnswer } from '../../pace/shared-answers.ts'

/** Nobody knows, it is time to ask again, or it comes from the future: then the database's clock was set back, and says nothing of its age. */
const IS_DUE = '(d.at is null or d.at > now_ms() or now_ms() - d.at >= d.refresh_ms)'
/** By another process, $2 being ours. */
const IS_HELD = '(d.claimed_by is not null and d.claimed_by <> $2::uuid and d.claimed_until > now_ms())'

// $1 keys, each once, $2 who asks, $3 although it is fresh. A call that only reads writes nothing and locks nothing: `on conflict` would lock the
// row whatever its condition says. It is asked there again, for another process may have been first since. The row that another process
// inserts meanwhile is not to be seen yet: then there is none. In the order of the keys, so that two processes don't wait for each other.
const CLAIM = sql(
  'claim a lookup',
  `with asked as (select key from unnest($1::text[]) a (key)), mine as (
    insert into discovered as d (key, claimed_by, claimed_until)
    select a.key, $2::uuid, now_ms() + ${CLAIM_MS} from asked a
     where not exists (select from discovered d where d.key = a.key and (${IS_HELD} or not ($3::boolean or ${IS_DUE})))
     order by a.key
    on conflict (key) do update set claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
     where not ${IS_HELD} and ($3::boolean or ${IS_DUE})
    returning key, answer, at, refresh_ms, fresh_ms, keep_ms, failures)
  select key, 'ours' as claim, answer, now_ms() - at as age_ms, refresh_ms, fresh_ms, keep_ms, failures from mine
  union all
  select d.key, case when $3::boolean or ${IS_DUE} then 'theirs' else 'not needed' end,
         d.answer, now_ms() - d.at, d.refresh_ms, d.fresh_ms, d.keep_ms, d.failures
    from asked a join discovered d on d.key = a.key where not exists (select 1 from mine where mine.key = d.key)`,
)

// $1 keys, each once, $2 who stores them, $3 answers, $4 their ages, $5 to $8 what they are worth. A claim of another process stays: it looks it up.
const STORE = sql(
  'store an answer',
  `insert into discovered as d (key, answer, at, refresh_ms, fresh_ms, keep_ms, failures)
   select key, answer, (now_ms() - age)::bigint, refresh_ms, fresh_ms, keep_ms, failures
     from unnest($1::text[], $3::text[], $4::double precision[], $5::double precision[], $6::double precision[], $7::double precision[], $8::int[])
       as s (key, answer, age, refresh_ms, fresh_ms, keep_ms, failures) order by key
   on conflict (key) do update set answer = excluded.answer, at = excluded.at, refresh_ms = excluded.refresh_ms, fresh_ms = excluded.fresh_ms,
     keep_ms = excluded.keep_ms, failures = excluded.failures,
     claimed_by = case when ${IS_HELD} then d.claimed_by end,
     claimed_until = case when ${IS_HELD} then d.claimed_until else 0 end
   where d.at is null or d.at <= excluded.at or d.at > now_ms()
   returning key`,
)

// $1 keys.
const LET_GO = sql(
  'end the claim of a lookup',
  `update discovered set claimed_by = null, claimed_until = 0 where claimed_by = $2 and key = any(array(
     select key from discovered where key = any($1::text[]) and claimed_by = $2 order by key for update))`,
)

const IS_OLD = `((d.at < now_ms() - ${LONGEST_LIFE_MS} or d.at is null) and d.claimed_until < now_ms())`

// The condition is there twice: what was claimed or stored between the choice and the delete stays.
const FORGET = sql(
  'forget old answers',
  `delete from discovered d where ctid = any(array(select ctid from discovered d where ${IS_OLD} limit 5000)) and ${IS_OLD}`,
)

interface AnswerRow {
  key: string
  claim: Claimed['claim']
  answer: string | null
  age_ms: number
  refresh_ms: number
  fresh_ms: number
  keep_ms: number
  failures: number
}

interface ToStore {
  key: string
  answer: StoredAnswer
}

/**
 * What many names ask at the same time is asked together: to look for five hundred servers at once would else be thousands of statements.
 * `process`: an id of this process alone.
 */
export function makeAnswers(db: Db, process: string): SharedAnswers {
  const shared = <T, R>(run: (calls: T[]) => Promise<R[]>) =>
    makeBatcher<T, R>({ run, maxWeight: FEW_BY_KEY })
  const ordinary = shared((keys: string[]) => claimAll(keys, false))
  const anew = shared((keys: string[]) => claimAll(keys, true))
  const storing = shared(storeAll)
  const lettingGo = shared(letGoAll)

  async function claimAll(keys: string[], anew: boolean): Promise<Claimed[]> {
    const { rows } = await db.query<AnswerRow>(CLAIM, [once(keys), process, anew])
    const byKey = new Map(rows.map((row) => [row.key, row]))
    return keys.map((key) => claimOf(byKey.get(key)))
  }

  async function storeAll(stored: ToStore[]): Promise<true[]> {
    // Of several for one key the last: it came later.
    const latest = [...new Map(stored.map((one) => [one.key, one])).values()]
    const of = <V>(column: (answer: StoredAnswer) => V) => latest.map(({ answer }) => column(answer))
    const keys = latest.map(({ key }) => key)
    const { rows } = await db.query<{ key: string }>(STORE, [
      ...[keys, process, of(({ text }) => text), of(({ ageMs }) => ageMs), of(({ refreshMs }) => refreshMs)],
      ...[of(({ freshMs }) => freshMs), of(({ keepMs }) => keepMs), of(({ failures }) => failures)],
    ])
    // What is stored came later. Our claim must end all the same, or the others wait for it until its time is over.
    const written = new Set(rows.map(({ key }) => key))
    const passedOver = keys.filter((key) => !written.has(key))
    if (passedOver.length > 0) await db.query(LET_GO, [passedOver, process])
    return stored.map(() => true)
  }

  async function letGoAll(keys: string[]): Promise<true[]> {
    await db.query(LET_GO, [once(keys), process])
    return keys.map(() => true)
  }

  return {
    claim: (key, isAnew) => (isAnew ? anew : ordinary).add(key),
    async store(key, answer) {
      await storing.add({ key, answer })
    },
    async letGo(key) {
      await lettingGo.add(key)
    },
  }
}

const once = (keys: readonly string[]): string[] => [...new Set(keys)]

function claimOf(row: AnswerRow | undefined): Claimed {
  if (row === undefined) return { claim: 'theirs', stored: null }
  const {
    claim,
    answer,
    age_ms: ageMs,
    refresh_ms: refreshMs,
    fresh_ms: freshMs,
    keep_ms: keepMs,
    failures,
  } = row
  const stored = answer === null ? null : { text: answer, ageMs, refreshMs, freshMs, keepMs, failures }
  return { claim, stored }
}

/** What nobody may use any more; some thousands at a time. */
export async function forgetOldAnswers(db: Db): Promise<void> {
  await db.query(FORGET)
}
