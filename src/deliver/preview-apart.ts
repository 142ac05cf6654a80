/** What a preview knows of what is apart from a destination's lanes (contract 5.9). Nothing is written. */
import type { Pool } from '../store/db.ts'
import { readApart, type Apart, type ApartRow } from '../store/delivery/apart.ts'
import type { DestinationState, StoredAcknowledges } from '../store/delivery/destination.ts'
import type { Isolation } from '../store/isolation.ts'
import { isReplay, movesOf } from './beside.ts'
import { groupsOf } from './rules/halves.ts'
import { halfAt, isBrought } from './rules/isolation.ts'
import type { Limits } from './rules/plan.ts'

export interface PreviewSearch {
  /** PDUs that are searched, and in how many parts; they go part by part, the first of them first. */
  pdus: number
  parts: number
  /** No part goes before, ms since the epoch; null: in its turn. */
  not_before: number | null
}

export interface PreviewEduSearch {
  /** Parts of EDUs that go at once, apart from PDUs, from the beginning of their lanes. */
  most: number
  /** None goes before, ms since the epoch; null: in its turn. */
  not_before: number | null
}

/** What is apart, less what a look would take away: what lapsed, and what has no text any more. */
export async function settledApart(pool: Pool, state: DestinationState): Promise<Apart> {
  if (state.isolation?.apart !== true) return { rows: [], rooms: [] }
  const { rows, rooms } = await readApart(pool, state.id)
  const left = rows.filter((row) => row.bytes !== null && (row.lane !== 's' || isReplay(row, state.now)))
  return { rows: left, rooms }
}

export function searchOf(
  { isolation, now, waiting }: DestinationState,
  rows: readonly ApartRow[],
): PreviewSearch | null {
  const groups = groupsOf(rows)
  if (isolation === null || groups.length === 0) return null
  const not_before = halfAt(isolation, now, isBrought({ waiting, now }))
  return { pdus: groups.flat().length, parts: groups.length, not_before }
}

export function eduSearchOf({ isolation, now, waiting }: DestinationState): PreviewEduSearch | null {
  const search = isolation?.edus
  if (search === undefined) return null
  return { most: search.most, not_before: halfAt({ search }, now, isBrought({ waiting, now })) }
}

/** Of a transaction whose PDUs are not apart, by the EDUs that it holds; undefined: it is an ordinary one. */
export function whatOfEdus(
  isolation: Isolation | null,
  { positions, edus }: Pick<StoredAcknowledges, 'positions' | 'edus'>,
): 'half' | 'aside' | undefined {
  if (edus === undefined || edus.positions.length === 0) return undefined
  if (edus.durableTo === null) return 'aside'
  return isolation?.edus !== undefined && positions.length === 0 ? 'half' : undefined
}

/** Whether a look would first take out what a room missed that waited: nothing else of what is apart is there to go before that. */
export async function waitsForRooms(
  pool: Pool,
  state: DestinationState,
  apart: Apart,
  limits: Pick<Limits, 'maxPdus'>,
): Promise<boolean> {
  if (apart.rooms.length === 0 || groupsOf(apart.rows).length > 0) return false
  return (await movesOf(pool, state, apart, limits)).some(({ positions }) => positions.length > 0)
}
