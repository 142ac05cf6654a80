/**
 * Who holds which row or advisory lock until the end of its transaction, and who waits.
 *
 * A statement that meets somebody else's lock throws `Blocked`; its pool waits and runs it again, as READ
 * COMMITTED does. Two that wait for each other are a deadlock, of which PostgreSQL makes an error.
 */

/** Not an error of the statement: it must wait. */
export class Blocked extends Error {
  readonly key: string
  constructor(key: string) {
    super(`waits for ${key}`)
    this.key = key
  }
}

/** One transaction, or one statement outside of any. */
export interface Holder {
  waitsFor: string | null
}

export interface Locks {
  /** @throws Blocked where somebody else has it */
  take(holder: Holder, key: string, how?: 'exclusive' | 'shared'): void
  /** As `pg_try_advisory_lock`. */
  tryTake(holder: Holder, key: string): boolean
  release(holder: Holder): void
  releaseOne(holder: Holder, key: string): void
  /** Resolves when `key` was given back; throws what PostgreSQL throws at a deadlock. */
  wait(holder: Holder, key: string): Promise<void>
  /** Everybody is gone (the database was put back). */
  clear(): void
}

interface Lock {
  holders: Set<Holder>
  exclusive: boolean
  waiting: (() => void)[]
}

export function makeLocks(): Locks {
  const locks = new Map<string, Lock>()
  const held = new Map<Holder, Set<string>>()

  function free({ holders, exclusive }: Lock, holder: Holder, how: 'exclusive' | 'shared'): boolean {
    if (holders.size === 0 || (holders.size === 1 && holders.has(holder))) return true
    return how === 'shared' && !exclusive
  }

  function tryTake(holder: Holder, key: string, how: 'exclusive' | 'shared' = 'exclusive'): boolean {
    let lock = locks.get(key)
    if (lock === undefined) locks.set(key, (lock = { holders: new Set(), exclusive: false, waiting: [] }))
    if (!free(lock, holder, how)) return false
    lock.holders.add(holder)
    lock.exclusive ||= how === 'exclusive'
    const mine = held.get(holder)
    if (mine === undefined) held.set(holder, new Set([key]))
    else mine.add(key)
    return true
  }

  function giveBack(holder: Holder, key: string): void {
    const lock = locks.get(key)
    if (lock === undefined) return
    lock.holders.delete(holder)
    if (lock.holders.size === 0) locks.delete(key)
    for (const go of lock.waiting.splice(0)) go()
  }

  function isDeadlock(holder: Holder, key: string, seen = new Set<string>()): boolean {
    if (seen.has(key)) return false
    seen.add(key)
    for (const other of locks.get(key)?.holders ?? []) {
      if (other === holder) return seen.size > 1
      if (other.waitsFor !== null && isDeadlock(holder, other.waitsFor, seen)) return true
    }
    return false
  }

  return {
    take(holder, key, how) {
      if (!tryTake(holder, key, how)) throw new Blocked(key)
    },
    tryTake,
    release(holder) {
      for (const key of held.get(holder) ?? []) giveBack(holder, key)
      held.delete(holder)
    },
    releaseOne(holder, key) {
      held.get(holder)?.delete(key)
      giveBack(holder, key)
    },
    async wait(holder, key) {
      const lock = locks.get(key)
      if (lock === undefined) return
      if (isDeadlock(holder, key)) throw Object.assign(new Error('deadlock detected'), { code: '40P01' })
      holder.waitsFor = key
      await new Promise<void>((go) => lock.waiting.push(go))
      holder.waitsFor = null
    },
    clear() {
      const waiting = [...locks.values()].flatMap((lock) => lock.waiting)
      locks.clear()
      held.clear()
      for (const go of waiting) go()
    },
  }
}
