/**
 * The operator's blocks: globs of destinations to which nothing is sent.
 *
 * Each change gives the list another version, in the same commit. A process that knows a version asks for nothing more than
 * whether it is still that one.
 */
import { randomUUID } from 'node:crypto'
import type { Block } from '../../allow/blocks.ts'
import { noteAct } from '../audit.ts'
import type { Db } from '../db.ts'
import { IN_ORDER, OWNER_LIVES } from '../held.ts'
import { planFor } from '../prepare.ts'
import { sql } from '../statement.ts'

// $1: the version that is known. One row without a glob: it is still that one, or nobody is blocked.
const READ = sql(
  'read the blocks',
  `select v.version, b.glob, b.reason, b.who, b.at from block_list v
     left join blocks b on v.version is distinct from $1::uuid order by b.glob`,
)

export interface BlockList {
  readonly version: string
  readonly blocks: readonly Block[]
}

interface BlockRow {
  version: string
  glob: string | null
  reason: string | null
  who: string
  at: number
}

/** The list as it is; null: it is still the one of that version. */
export async function readBlocks(db: Db, known: string | null): Promise<BlockList | null> {
  const { rows } = await db.query<BlockRow>(READ, [known])
  const [first] = rows
  if (first === undefined)
    throw new Error('the list of blocks has no version: the row of `block_list` is gone')
  if (first.version === known) return null
  const blocks = rows.flatMap(({ glob, reason, who, at }) =>
    glob === null ? [] : [{ glob, reason, by: who, at }],
  )
  return { version: first.version, blocks }
}

// Both lock the block first, and then the list: two of them never wait for each other.
const BLOCK = sql(
  'block',
  `with put as (
     insert into blocks (glob, reason, who, at) values ($1, $2, $3, now_ms())
     on conflict (glob) do update set reason = excluded.reason returning glob
   ), noted as (
     ${noteAct('$3', "'block'", 'glob', 'put')}
   )
   update block_list set version = $4::uuid where exists (select from put)`,
)

const UNBLOCK = sql(
  'unblock',
  `with gone as (delete from blocks where glob = $1 returning glob), noted as (
     ${noteAct('$3', "'unblock'", 'glob', 'gone')}
   )
   update block_list set version = $2::uuid where exists (select from gone)`,
)

/** `glob` in lower case. Where it is blocked already, only the reason is another one: who did it, and when, stays. */
export async function putBlock(
  db: Db,
  { glob, reason, by }: Omit<Block, 'at'>,
  version: string = randomUUID(),
): Promise<void> {
  await db.query(BLOCK, [glob, reason, by, version])
}

/** False: there is no such block. `by`: the name of the operator's token. */
export async function removeBlock(
  db: Db,
  { glob, by }: Pick<Block, 'glob' | 'by'>,
  version: string = randomUUID(),
): Promise<boolean> {
  const { rowCount } = await db.query(UNBLOCK, [glob, version, by])
  return rowCount === 1
}

// $1: names. One that is due already is not written once more by each process that hears of it; one that is held has its holder look again.
const BRING_BACK = sql(
  'who is blocked no more',
  `update destinations d set look_at = least(d.look_at, (select now_ms())), wake_seq = d.wake_seq + 1 from (
     select d.id from destinations d where d.name = any($1) and not d.paused
        and (d.look_at is null or d.look_at > (select now_ms()) or ${OWNER_LIVES}) ${IN_ORDER}
   ) l where d.id = l.id`,
)

/** Their time has come: whatever wakes them was passed over while they were blocked. A backoff stays as it is: their turn asks for it. */
export async function bringBack(db: Db, names: readonly string[]): Promise<void> {
  await db.query(planFor(names.length, BRING_BACK), [names])
}
