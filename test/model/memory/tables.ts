/**
 * Tables in memory, and what one transaction sees of them: what is committed, under its own writes.
 *
 * As in READ COMMITTED: each statement sees what was committed before it. What a statement wrote counts when it
 * is through (`keep`), or not at all (`forget`); what the transaction wrote is seen by others after `commit`.
 * Every write takes the row's lock. Rows are never changed in place.
 */
import type { Holder, Locks } from './locks.ts'
import { TABLES, type DestinationRow, type Schema } from './rows.ts'
import { withTurnKey } from './turn-key.ts'

type Key = string | number

export interface Table<R> {
  get(key: Key): R | undefined
  all(): R[]
  put(key: Key, row: R): void
  /** Changes columns of a row that is there. */
  change(key: Key, columns: Partial<R>): void
  delete(key: Key): void
  /** `for update` */
  lock(key: Key): void
}

export type Tables = { [T in keyof Schema]: Table<Schema[T]> }

/** What is committed. */
export type Committed = { [T in keyof Schema]: Map<Key, Schema[T]> }

export interface Sight extends Holder {
  t: Tables
  /** The statement is through. */
  keep(): void
  /** The statement did not happen. */
  forget(): void
  commit(): void
  rollback(): void
}

/** The version of a list of blocks that nobody has changed. */
export const FIRST_LIST = '00000000-0000-4000-8000-000000000000'

export function emptyTables(): Committed {
  const committed = Object.fromEntries(TABLES.map((name) => [name, new Map()])) as unknown as Committed
  committed.stream.set(1, { head: 0, log_end: 6_000_000, log_floor: 0, durable_head: 0, edu_head: 0 })
  committed.seen_time.set(1, { seen_ms: 0 })
  committed.block_list.set(1, { version: FIRST_LIST })
  for (const name of ['fanout', 'own_trouble']) committed.cursors.set(name, { name, pos: 0 })
  return committed
}

/** A copy that later writes do not change. */
export const copyTables = (from: Committed): Committed =>
  Object.fromEntries(
    TABLES.map((name) => [name, new Map(from[name] as Map<Key, unknown>)]),
  ) as unknown as Committed

interface Layered extends Table<unknown> {
  keep(): void
  forget(): void
  end(commit: boolean): void
}

export function makeSight(committed: () => Committed, locks: Locks): Sight {
  const layered: Layered[] = []
  const touched = new Set<Layered>()
  const sight: Sight = {
    waitsFor: null,
    t: {} as Tables,
    keep: () => {
      for (const table of touched) table.keep()
    },
    forget: () => {
      for (const table of touched) table.forget()
    },
    commit: () => {
      end(true)
    },
    rollback: () => {
      end(false)
    },
  }

  function end(commit: boolean): void {
    for (const table of touched) table.end(commit)
    touched.clear()
    locks.release(sight)
  }

  for (const name of TABLES) {
    const base = () => committed()[name] as Map<Key, unknown>
    const table = makeTable(name, base, {
      ...TRIGGERS[name],
      lock: (key) => {
        locks.take(sight, `${name} ${key}`)
      },
      touch: () => {
        touched.add(table)
      },
    })
    layered.push(table)
    ;(sight.t as Record<string, unknown>)[name] = table
  }
  return sight
}

interface Trigger {
  /** What becomes of a row that is to be changed. */
  before?: (old: unknown, row: unknown) => unknown
}

const TRIGGERS: Readonly<Record<string, Trigger>> = {
  destinations: { before: (old, row) => withTurnKey(old as DestinationRow, row as DestinationRow) },
}

/** null in a layer: deleted. */
type Layer = Map<Key, unknown>

function makeTable(
  name: string,
  base: () => Map<Key, unknown>,
  on: { lock: (key: Key) => void; touch: () => void } & Trigger,
): Layered {
  let written: Layer | null = null
  let writing: Layer | null = null

  function get(key: Key): unknown {
    const mine = writing?.has(key) === true ? writing : written?.has(key) === true ? written : null
    return mine === null ? base().get(key) : (mine.get(key) ?? undefined)
  }

  function put(key: Key, row: unknown): void {
    on.lock(key)
    on.touch()
    writing ??= new Map()
    writing.set(key, row)
  }

  return {
    get,
    all: () => {
      if (written === null && writing === null) return [...base().values()]
      const merged = new Map(base())
      for (const layer of [written, writing]) for (const [key, row] of layer ?? []) merged.set(key, row)
      return [...merged.values()].filter((row) => row !== null)
    },
    put,
    change: (key, columns) => {
      const row = get(key)
      if (row === undefined) throw new Error(`no row ${key} in ${name}`)
      const changed = { ...row, ...(columns as object) }
      put(key, on.before?.(row, changed) ?? changed)
    },
    delete: (key) => {
      put(key, null)
    },
    lock: on.lock,
    keep: () => {
      if (writing === null) return
      written ??= new Map()
      for (const [key, row] of writing) written.set(key, row)
      writing = null
    },
    forget: () => {
      writing = null
    },
    end: (commit) => {
      const rows = base()
      for (const [key, row] of (commit && written) || []) {
        if (row === null) rows.delete(key)
        else rows.set(key, row)
      }
      written = null
      writing = null
    },
  }
}
