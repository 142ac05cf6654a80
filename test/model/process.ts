/**
 * One process of limpet, as the schedule has it in its hands: every statement that it sends, and the two moments of
 * a request, are steps. Before any of them it can be held, while others act, and then go on, or be killed.
 */
import type { Pool } from '../../src/store/db.ts'
import type { Connection } from './database.ts'
import { isBegin, nameOf } from './memory/statement.ts'

/** A step by its name, or the n-th from now on. */
export type At = string | number

export interface Process {
  name: string
  pool: Pool
  /** A moment that is no statement. */
  step(name: string): Promise<void>
  /** Holds it before that step; null: it runs freely. */
  holdAt(at: At | null): void
  /** Where it is held, or null. */
  heldAt(): string | null
  goOn(): void
  /** Nothing of it happens any more; its transactions are rolled back. */
  kill(): void
  alive(): boolean
  /** Counts work that the database does not see. */
  during<T>(work: Promise<T>): Promise<T>
  /** Resolves when it waits for nothing but time, the schedule, or a lock. */
  quiet(): Promise<void>
}

/** A new one each time: what waits for one that lives for ever is never forgotten. */
const never = () => new Promise<never>(() => undefined)
const immediate = () => new Promise<void>((resolve) => setImmediate(resolve))
/** In one command; more is a loop without end. */
const MOST_STEPS = 3_000

export function makeProcess(
  name: string,
  connection: Connection,
  on: { step: (name: string) => void; endless: () => void },
): Process {
  let alive = true
  let at: At | null = null
  let steps = 0
  let held: { name: string; goOn: () => void } | null = null
  let inFlight = 0
  const landed: (() => void)[] = []

  async function gate(step: string): Promise<void> {
    if (!alive) return never()
    steps += 1
    if (steps > MOST_STEPS) {
      on.endless()
      alive = false
      return never()
    }
    if (at !== null && held === null && (at === step || at === steps)) {
      at = null
      await new Promise<void>((goOn) => (held = { name: step, goOn }))
      if (!isAlive()) return never()
    }
    on.step(step)
  }
  const isAlive = () => alive

  async function during<T>(work: Promise<T>): Promise<T> {
    inFlight += 1
    try {
      return await work
    } finally {
      inFlight -= 1
      if (inFlight === 0) for (const go of landed.splice(0)) go()
    }
  }

  async function query(text: string, values?: readonly unknown[]) {
    await gate(nameOf(text))
    return during(connection.pool.query(text, values as unknown[]))
  }

  async function connect() {
    const client = await during(connection.pool.connect())
    let within = false
    return {
      async query(text: string, values?: readonly unknown[]) {
        if (text === 'rollback') within = false
        else if (!within || connection.stepsInTransactions) await gate(stepOf(text))
        if (isBegin(text)) within = true
        if (text === 'commit') within = false
        const result = await during(client.query(text, values as unknown[]))
        return isAlive() ? result : never()
      },
      release: (broken?: Error) => {
        client.release(broken)
      },
      on: () => undefined,
      off: () => undefined,
    }
  }

  return {
    name,
    pool: { query, connect, on: () => undefined } as unknown as Pool,
    step: gate,
    holdAt: (where) => {
      at = where
      steps = 0
    },
    heldAt: () => held?.name ?? null,
    goOn: () => {
      const { goOn } = held ?? { goOn: () => undefined }
      held = null
      goOn()
    },
    kill: () => {
      alive = false
      connection.crash()
    },
    alive: isAlive,
    during,
    async quiet() {
      // Everything here runs on promises that are there already, but for a real database.
      do {
        await immediate()
        if (!connection.sync && inFlight > 0) await new Promise<void>((go) => landed.push(go))
      } while (!connection.sync && inFlight > 0)
      if (!connection.sync) await immediate()
      if (inFlight > 0 && !connection.sync) await this.quiet()
    },
  }
}

const stepOf = (text: string) => (isBegin(text) ? 'begin' : text === 'commit' ? text : nameOf(text))
