/**
 * What an operator asks of one destination: wake, reset, pause, resume.
 *
 * Operators write wishes; only the holder changes position, gap and open transaction. Each wish is one statement that
 * also records who asked, and raises `wake_seq`, so that a holder that is just letting go looks once more. A pause
 * takes away: what was planned before it is not frozen after it. The caller wakes the destination afterwards.
 */
import { noteAct } from '../audit.ts'
import type { Db } from '../db.ts'
import { IN_ORDER } from '../held.ts'
import { variants, type Sql } from '../statement.ts'
import { NO_WAITS, withoutRefusals } from '../waits.ts'

export type Wish = 'wake' | 'reset' | 'pause' | 'resume'

/** `queue`: the one to which its next turn belongs. `embargo`: the destination asked for no requests until then, ms since the epoch. */
export type Wished =
  | { kind: 'done'; queue: 'delivery' | 'recovery' }
  | { kind: 'unknown' }
  | { kind: 'paused' }
  | { kind: 'embargo'; until: number }

// The last error stays: it says what the failures were that are forgotten.
const CHANGES: Record<Wish, string> = {
  wake: `asked_at = now_ms(), look_at = now_ms()`,
  reset: `${NO_WAITS}, isolation = ${withoutRefusals('isolation')}, asked_at = now_ms(), look_at = now_ms()`,
  pause: `paused = true, narrowed_seq = narrowed_seq + 1`,
  resume: `paused = false, look_at = now_ms()`,
}

// A wake respects what the destination itself asked for (429), and the operator who paused it.
const ALLOWED: Record<Wish, string> = {
  wake: `not d.paused and not (d.hold_kind is not distinct from 'retry_after' and coalesce(d.hold_until, 0) > now_ms())`,
  reset: 'true',
  pause: 'true',
  resume: 'true',
}

const wished = variants('wish')

const wishOf = (wish: Wish): Sql =>
  wished(`
  with done as (
    update destinations d set wake_seq = wake_seq + 1, ${CHANGES[wish]} where d.name = $1 and ${ALLOWED[wish]}
    returning d.name, d.quick
  ), noted as (
    ${noteAct('$2', '$3', 'name', 'done')}
  )
  select done.quick, t.paused, t.hold_until from destinations t left join done on done.name = t.name where t.name = $1`)

const ofEach = (make: (wish: Wish) => Sql): Record<Wish, Sql> => ({
  wake: make('wake'),
  reset: make('reset'),
  pause: make('pause'),
  resume: make('resume'),
})

const WISHES = ofEach(wishOf)

const wishedOfMany = variants('wish of many')

// $1: their ids. A wake leaves out whom it does not wake.
const ofManyOf = (wish: Wish): Sql =>
  wishedOfMany(`
  with locked as (select d.id from destinations d where d.id = any($1::int[]) and ${ALLOWED[wish]} ${IN_ORDER})
  update destinations d set wake_seq = d.wake_seq + 1, ${CHANGES[wish]} from locked l where d.id = l.id`)

const WISHES_OF_MANY = ofEach(ofManyOf)

/**
 * Writes the same wish for many; that an operator did so, its caller notes. Nobody needs to wake them: a time to look at them comes with the
 * wish, or a holder sees it before its next freeze.
 */
export async function wishOfMany(db: Db, wish: Wish, destinations: readonly number[]): Promise<void> {
  await db.query(WISHES_OF_MANY[wish], [destinations])
}

/** Writes one wish for the destination called `name`; `who` is the name of the operator's token. */
export async function makeWish(
  db: Db,
  { wish, name, who }: { wish: Wish; name: string; who: string },
): Promise<Wished> {
  const { rows } = await db.query<{ quick: boolean | null; paused: boolean; hold_until: number | null }>(
    WISHES[wish],
    [name, who, wish],
  )
  const row = rows[0]
  if (row === undefined) return { kind: 'unknown' }
  if (row.quick !== null) return { kind: 'done', queue: row.quick ? 'delivery' : 'recovery' }
  return row.paused ? { kind: 'paused' } : { kind: 'embargo', until: row.hold_until ?? 0 }
}
