/**
 * Durable EDUs that are apart (contract 5.9): one that is due goes in a transaction of its own, and what a look finds of them is kept right.
 */
import type { Log } from '../observe/log.ts'
import type { Db, Pool } from '../store/db.ts'
import type { DestinationState } from '../store/delivery/destination.ts'
import {
  believeEdusApart,
  endEdusApart,
  makeEdusDue,
  noteNoEduApart,
  noteRefusedEdu,
  readEdusApart,
  triesOfEdu,
  type EduApart,
} from '../store/delivery/edus-apart.ts'
import { readEduParts } from '../store/delivery/open-texts.ts'
import { inTransaction } from '../store/db.ts'
import { addToCounter } from '../store/ingest/content.ts'
import { lockHeld } from '../store/delivery/take-apart.ts'
import type { Held } from '../store/delivery/leases.ts'
import { packEdus } from '../matrix/edus/pack.ts'
import { endOfDurable, withAge, type EduSettings } from './edus.ts'
import type { Attempt } from './attempt.ts'
import { keptOf } from './rules/isolation.ts'
import type { Sending } from './rules/plan.ts'

export interface LookedForEdus {
  /** One goes; null: none does. */
  readonly first: Sending | null
  /** When the next is due, ms since the epoch; null: nothing of it is there. */
  readonly nextAt: number | null
}

const NONE: LookedForEdus = { first: null, nextAt: null }
const HOUR_MS = 3_600_000
/** Between two tries of one that is set aside: first, and at most. */
const FIRST_MS = HOUR_MS / 4
const LAST_MS = 24 * HOUR_MS

/** When one that was refused `tries` times since it was taken out is tried again, ms from then. */
export const waitOfEdu = (tries: number): number => Math.min(LAST_MS, FIRST_MS * 2 ** tries)

export async function lookForEdus(
  needs: { pool: Pool; log: Pick<Log, 'info'>; edus: Pick<EduSettings, 'durableMs'> },
  { held, state }: { held: Held; state: DestinationState },
): Promise<LookedForEdus> {
  if (state.isolation?.edusApart !== true) return NONE
  const { pool, log } = needs
  const rows = await readEdusApart(pool, state.id)
  const gone = rows.filter((row) => isOver(row, needs.edus, state.now))
  if (gone.length > 0) {
    await giveUp(pool, held, gone)
    log.info(
      { destination: state.name, count: gone.length },
      'EDUs that were refused are too old, and given up',
    )
    return lookForEdus(needs, { held, state })
  }
  const [first] = rows
  if (first?.edu == null) {
    await noteNoEduApart(pool, held, keptOf({ ...state.isolation, edusApart: false }))
    return NONE
  }
  const nextAt = nextOf(first, state.now)
  return { first: nextAt <= state.now ? sendingOf(state, withAge(needs.edus)(first.edu)) : null, nextAt }
}

/** The first that is due, as a look would send it; null: none is. Nothing is written. */
export async function dueEduApart(
  { pool, edus }: { pool: Pool; edus: Pick<EduSettings, 'durableMs'> },
  state: DestinationState,
): Promise<Sending | null> {
  if (state.isolation?.edusApart !== true) return null
  const rows = await readEdusApart(pool, state.id)
  const next = rows.find((row) => !isOver(row, edus, state.now))
  if (next?.edu == null || nextOf(next, state.now) > state.now) return null
  // A look would give up those before it first, and then read it with its text.
  const content = next.edu.content ?? (await readEduParts(pool, [next.pos]))[0]?.content
  return content === undefined ? null : sendingOf(state, withAge(edus)({ ...next.edu, content }))
}

/** When it is tried. What is farther off than anything waits was written by a clock that was wrong. */
const nextOf = ({ nextAt }: EduApart, now: number): number => (nextAt > now + LAST_MS ? now : nextAt)

/** Its time is over, or it is gone already. */
const isOver = ({ edu }: EduApart, settings: Pick<EduSettings, 'durableMs'>, now: number): boolean =>
  edu === null || endOfDurable(edu, settings) <= now

async function giveUp(pool: Pool, held: Held, gone: readonly { pos: number }[]): Promise<void> {
  await inTransaction(pool, async (db) => {
    if (!(await lockHeld(db, held))) return
    await endEdusApart(
      db,
      held.destination,
      gone.map(({ pos }) => pos),
    )
    await addToCounter(db, 'given_up:set_aside', gone.length)
  })
}

function sendingOf(
  { position }: DestinationState,
  edu: NonNullable<Awaited<ReturnType<typeof readEdusApart>>[number]['edu']>,
): Sending {
  const packing = packEdus()
  packing.join({ ...edu, content: edu.content ?? '{}' })
  return {
    ...{ do: 'send', pdus: [], soonestLapse: null },
    acknowledges: { position, gapCursor: null, closesGap: false, sticky: [] },
    edus: {
      ...{ durable: [edu], ephemeral: [], edus: 1, bytes: packing.count().bytes, cursors: null },
      ...{ leftOut: [], alone: true, notBefore: null },
    },
  }
}

/** What a transaction that is apart of the lanes held. Empty: it is no such transaction. */
export const eduApartIn = ({ acknowledges: { edus } }: Pick<Attempt, 'acknowledges'>): readonly number[] =>
  edus?.durableTo === null ? edus.positions : []

/** It was answered 200: what it held of them is done, what is out of the way is believed to be refused for its own sake, and a sign of life makes the rest due. */
export async function endEdusThatCame(db: Db, at: Attempt): Promise<void> {
  const { held, state, startedAt } = at
  if (state.isolation?.edusApart !== true) return
  const done = eduApartIn(at)
  await endEdusApart(db, held.destination, done)
  if (done.length === 0) await believeEdusApart(db, held.destination)
  if (state.waiting.failingSince !== null) await makeEdusDue(db, held.destination, startedAt)
}

/** One that is apart was refused again. */
export async function noteRefusedEdus(
  db: Db,
  at: Attempt,
  said: { status: number | null; message: string },
  now: number,
): Promise<void> {
  const [pos] = eduApartIn(at)
  if (pos === undefined) return
  const tries = await triesOfEdu(db, at.held.destination, pos)
  await noteRefusedEdu(db, at.held.destination, { pos, nextAt: now + waitOfEdu(tries + 1), ...said })
}
