/**
 * Which EDU does a destination refuse? (contract 5.9) Pure: what is known, and what was refused (and an empty transaction answered 200 after that) in, what is
 * done out.
 *
 *     PDUs and EDUs refused together ──▶ they go apart ──▶ half as many EDUs ──▶ … ──▶ one alone ──▶ set aside (durable), dropped (any other)
 *
 * The lanes keep their order meanwhile: a part of a lane's beginning goes, and where that is taken, more of it. So the first that is refused is found in
 * as many steps as halvings lead to it.
 *
 * Always: one is taken out only where it was refused alone and something else was answered 200 since the search began; a gateway is believed only the third time. Where
 * there is nothing else, as no other transaction may follow it, it goes out of the way after two tries in vain (a gateway's: three): that concludes nothing, and
 * there are never more than two of these.
 */
import type { EduSearch } from '../../store/isolation.ts'

/** Parts in one transaction, from which on nothing is searched any more. */
const ENOUGH = 64
const STEPS_AN_HOUR = 20
/** Tries in vain, and EDUs that are out of the way with nothing concluded. */
const UNSURE = 2
/** So often a gateway must have refused one alone. */
const OF_GATEWAY = 3

export interface RefusedEdus {
  readonly pdus: number
  /** Of its EDUs. */
  readonly parts: number
  /** A proxy before the server refused it. */
  readonly gateway: boolean
  /** The one that was alone; null: there were several. */
  readonly pos: number | null
  /** It is durable. */
  readonly durable: boolean
  /** So many are out of the way with nothing concluded. */
  readonly doubtful: number
}

export interface AfterRefusedEdus {
  readonly search: EduSearch
  /** What becomes of one that was alone: it is taken out of its lane, for good or with nothing concluded; null: it stays, as all others do. */
  readonly takesOut: 'sure' | 'doubtful' | null
  /** The backoff of the last refusal holds. */
  readonly backsOff: boolean
}

/** `interval`: the backoff after so many failures, ms. */
export function afterRefusedEdus(
  known: EduSearch | undefined,
  { pdus, parts, gateway, pos, durable, doubtful }: RefusedEdus,
  { now, interval }: { now: number; interval: (failures: number) => number },
): AfterRefusedEdus {
  const was: EduSearch = known ?? {
    ...{ since: now, other: false, turn: 'half', steps: [], unsure: 0, waitUntil: null },
    most: parts,
  }
  const steps = [...was.steps, now].slice(-STEPS_AN_HOUR)
  const next = { ...was, steps, turn: 'other' as const }
  const goesOn = (search: EduSearch): AfterRefusedEdus => ({ search, takesOut: null, backsOff: false })
  if (pdus > 0) return goesOn({ ...next, most: Math.max(1, parts) })
  if (parts > 1) return goesOn({ ...next, most: Math.floor(parts / 2), unsure: 0, waitUntil: null })
  // Another one may have been alone before it: what is not durable is over soon, and what is durable goes first.
  const of = pos === null ? undefined : { pos, tries: was.of?.pos === pos ? was.of.tries + 1 : 1 }
  const alone = { ...next, most: 1, ...(of !== undefined && { of }) }
  const takesOut = whether({ other: was.other, tries: of?.tries ?? 1, doubtful, durable, gateway })
  if (takesOut !== null)
    return { search: { ...alone, unsure: 0, waitUntil: null }, takesOut, backsOff: false }
  const unsure = was.unsure + 1
  const waitUntil = now + interval(unsure)
  // With a gateway that refuses several there would be no steps left for the others.
  const search = { ...alone, unsure, waitUntil, ...(gateway && { steps: was.steps }) }
  return { search, takesOut, backsOff: !was.other }
}

function whether({
  other,
  tries,
  doubtful,
  durable,
  gateway,
}: Pick<EduSearch, 'other'> & { tries: number } & Pick<RefusedEdus, 'doubtful' | 'durable' | 'gateway'>) {
  if (other) return tries >= (gateway ? OF_GATEWAY : 1) ? 'sure' : null
  return durable && tries >= (gateway ? OF_GATEWAY : UNSURE) && doubtful < UNSURE ? 'doubtful' : null
}

/** Something was answered 200. `parts`: of its EDUs; `searched`: it held nothing else, and came from the lanes. Absent: the search is over. */
export function eduSearchAfterAnswer(
  was: EduSearch | undefined,
  { parts, searched }: { parts: number; searched: boolean },
): EduSearch | undefined {
  if (was === undefined) return undefined
  // It was waited for anything to arrive; what a gateway refused waits for its own next try.
  if (!searched) return { ...was, other: true, turn: 'half', waitUntil: was.other ? was.waitUntil : null }
  const most = Math.max(was.most, parts) * 2
  return most >= ENOUGH ? undefined : { ...was, most, other: true, turn: 'other', unsure: 0, waitUntil: null }
}
