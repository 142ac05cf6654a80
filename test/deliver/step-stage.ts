/** One destination in the hands of a test: the real step on a real database, with others acting in the middle of it. */
import { makeTogether } from '../../src/deliver/together.ts'
import { systemClock } from '../../src/pace/clock.ts'
import { makeSharedBodies } from '../../src/deliver/shared-bodies.ts'
import { look, type Looked, type LookNeeds } from '../../src/deliver/look.ts'
import { AT_ONCE } from '../../src/pace/spare.ts'
import { FOUND } from '../../src/deliver/find.ts'
import { makeGate } from '../../src/pace/gate.ts'
import type { PartGate } from '../../src/pace/part-gate.ts'
import type { Pool } from '../../src/store/db.ts'
import { registerWorker } from '../../src/store/delivery/leases.ts'
import { loadDestination, takeDestination } from '../support/one.ts'
import type { StatementName } from '../../src/store/statement-names.ts'
import { nameIn } from '../../src/store/statement.ts'
import type { SendResult } from '../../src/wire/send-result.ts'
import { gateOf, placesFor } from '../support/places.ts'
import { reachable, type Answers } from '../support/reachable.ts'

const WORKER = '00000000-0000-4000-8000-000000000001'
const silent = { info() {}, warn() {}, error() {}, debug() {} } as unknown as LookNeeds['log']

export const ANSWERED: SendResult = { kind: 'answered', pdus: null, durationMs: 1 }
/** It may have been received. */
export const UNANSWERED: SendResult = {
  ...{ kind: 'failed', stage: 'timeout', handed: true, durationMs: 1, status: null },
  ...{ message: 'no answer', retryAfterMs: null, errcode: null },
}

export interface SentPdu {
  room_id: string
  type: string
}

export async function holdInTest(given: Pool, name: string, more: Partial<LookNeeds> = {}) {
  await registerWorker(given, { id: WORKER, name: 'test', leaseMs: 3_600_000 })
  const taken = await takeDestination(given, WORKER, name)
  if (taken.kind !== 'taken') throw new Error(`${name} is ${taken.kind}`)
  const { held } = taken
  const sent: { txnId: string; pdus: SentPdu[] }[] = []
  /** The names of all statements that it has asked for. */
  const statements: (string | null)[] = []
  let meanwhile: { after: StatementName; happens: () => Promise<unknown> } | null = null
  const pool = new Proxy(given, {
    get(target, key) {
      if (key !== 'query') return Reflect.get(target, key) as unknown
      return async (text: string, values?: unknown[]) => {
        statements.push(nameIn(text))
        const result = await target.query(text, values)
        if (meanwhile !== null && nameIn(text) === meanwhile.after) {
          const { happens } = meanwhile
          meanwhile = null
          await happens()
        }
        return result
      }
    },
  })
  const send: Answers = ({ txnId, body }) => {
    sent.push({ txnId, pdus: (JSON.parse(body.toString()) as { pdus: SentPdu[] }).pdus })
    return Promise.resolve(ANSWERED)
  }
  const needs: LookNeeds = {
    ...{ pool, random: () => 0.5, clock: systemClock, origin: 'home.example', log: silent },
    ...reachable(send),
    ...{
      maxPdus: 50,
      maxBodyBytes: 4_000_000,
      requestTimeoutMs: 1_000,
    },
    edus: { maxEdus: 100, off: new Set(), durableMs: 30 * 86_400_000 },
    ...placesFor(10),
    deadline: { deadline_retries: true, deadline_retry_min_ms: 30_000, long_outage_ms: 3_600_000 },
    backoff: { first_ms: 5_000, multiplier: 2, max_ms: 3_600_000, jitter: 0, dead_after_ms: 30 * 86_400_000 },
    farLooks: makeGate(9),
    firstLooks: makeGate(9),
    spare: AT_ONCE,
    find: FOUND,
    catchUp: { threshold_pdus: 1, min_age_ms: 60_000 },
    ...makeTogether(pool, 1),
    bodyOf: makeSharedBodies({ origin: 'home.example', clock: systemClock }),
    onLapsed: () => undefined,
    onAttempt: () => undefined,
    ...more,
  }
  const lease = { id: WORKER, signal: new AbortController().signal, stillHeld: () => true }
  async function step(): Promise<Looked> {
    const state = await loadDestination(pool, held)
    if (state === null) throw new Error(`${name} is gone`)
    return look(needs, { held, state, lease, signal: lease.signal })
  }
  return {
    held,
    sent,
    statements,
    needs,
    step,
    /** Rooms of all that was sent, in order. */
    rooms: () => sent.flatMap(({ pdus }) => pdus.map(({ room_id }) => room_id)),
    /** Others act right after the next statement of that name. */
    after(statement: StatementName, happens: () => Promise<unknown>): void {
      meanwhile = { after: statement, happens }
    },
    /** Steps until it would let go. */
    async toTheEnd(): Promise<void> {
      for (let steps = 0; steps < 20; steps += 1) if ((await step()).kind === 'let go') return
      throw new Error('it never lets go')
    },
  }
}

/** The only place, taken by somebody else until `free` is called. */
export function takenPlace(): { place: PartGate; free: () => void } {
  const place = gateOf(1)
  const leave = place.take('quick')
  return { place, free: () => leave?.() }
}
