/**
 * Whose turn is it first, of those that are due? A row says it from when its time was last set (migrations 0012, 0017, 0025): what changes of it later
 * counts at the next such time.
 */
import type { DestinationRow } from './rows.ts'

/** Small first, number by number. */
export type TurnKey = readonly [number, number?, number?]

const keyOf = (d: DestinationRow): TurnKey => {
  if (d.asked_at !== null || d.advice_at !== null) return [0]
  if (d.deadline_at !== null && d.look_at !== null && d.look_at >= d.deadline_at) return [1]
  if (d.failures > 0) return [4, Math.min(d.failures, 1_000), -Math.max(d.last_success ?? 0, 0)]
  return d.last_success === null ? [3] : [2, -d.last_success]
}

/** The row with its key: the trigger before an update. */
export function withTurnKey(old: DestinationRow, row: DestinationRow): DestinationRow {
  const same = row.look_at === old.look_at && row.asked_at === old.asked_at && row.advice_at === old.advice_at
  return row.look_at === null || same ? row : { ...row, turn_key: keyOf(row) }
}

/** For `sort`; one without a key comes last. */
export function inTurn(a: DestinationRow, b: DestinationRow): number {
  const [left, right] = [a.turn_key ?? [9], b.turn_key ?? [9]]
  for (const at of [0, 1, 2] as const) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0)
    if (difference !== 0) return difference
  }
  const last = Number.MAX_SAFE_INTEGER
  return (a.look_at ?? last) - (b.look_at ?? last) || a.id - b.id
}
