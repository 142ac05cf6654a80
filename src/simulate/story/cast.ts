/**
 * The parts of the story: which servers of the fleet have one, and how they behave. All others are simply healthy.
 *
 * With few servers, one server plays two parts that don't disturb each other.
 */
import { errorPage, matrixError, tooManyRequests } from '../fleet/behaviour.ts'
import type { Behaves, FixedAnswer } from '../fleet/behaviour.ts'

/** Parts, by the index of the server. */
export interface Cast {
  /** Away for longer than the catch-up threshold. */
  readonly away: number
  /** Joins a room with more than 100 unexpired sticky events. */
  readonly joiner: number
  /** Not there from beginning to end. */
  readonly dead: number
  readonly slow: number
  /** Answers 500, 502 and 429 for a while. */
  readonly erring: number
  /** Its answers are lost for a while, after it took the transaction. */
  readonly losing: number
  /** Answers 200 without listing (or taking) the events of one room, at first. */
  readonly unknowing: number
  /** Is made to leave a room. */
  readonly kicked: number
}

export const FEWEST_SERVERS = 6

export function castOf(servers: number): Cast {
  const [away, joiner, dead, slow, erring, losing] = [0, 1, 2, 3, 4, 5]
  return {
    ...{ away, joiner, dead, slow, erring, losing },
    unknowing: servers > 6 ? 6 : losing,
    kicked: servers > 7 ? 7 : erring,
  }
}

/** What each part is called in tables. */
const PARTS: readonly (readonly [keyof Cast, string])[] = [
  ['away', 'was away'],
  ['joiner', 'joins late'],
  ['dead', 'dead'],
  ['slow', 'slow'],
  ['erring', 'errors'],
  ['losing', 'loses answers'],
  ['unknowing', 'lists not all'],
  ['kicked', 'kicked'],
]

/** What the server at `index` plays, in words; empty: nothing. */
export function partOf(cast: Cast, index: number): string {
  return PARTS.filter(([part]) => cast[part] === index)
    .map(([, name]) => name)
    .join(', ')
}

/** Every request of the slow one takes this long, ms. */
const SLOW_MS = 1000
const ERRORS: readonly FixedAnswer[] = [
  matrixError(500, 'M_UNKNOWN', 'Internal server error'),
  errorPage(502),
  tooManyRequests(1000),
]
const LOST = 2
/** For how long it does not know its room, ms since its first transaction; less than until a repeat. */
const UNKNOWN_MS = 8000

/** How the server at `index` behaves; `strangeRoom`: the room that the unknowing one does not know. */
export function behaviourOf(cast: Cast, index: number, strangeRoom: string): Behaves {
  let firstAt: number | null = null
  return ({ n, at }) => {
    firstAt ??= at
    const error = cast.erring === index ? ERRORS[n - 1] : undefined
    if (error !== undefined) return error
    const knows = cast.unknowing !== index || at - firstAt > UNKNOWN_MS
    return {
      kind: cast.losing === index && n <= LOST ? 'drop after processing' : 'ok',
      delayMs: cast.slow === index ? SLOW_MS : 0,
      drops: (_id, pdu) => !knows && pdu['room_id'] === strangeRoom,
    }
  }
}
