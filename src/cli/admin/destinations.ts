/** `limpet destinations`: one line for each destination. */
import type { DestinationAnswer } from './answers.ts'
import { ageText, distance, shownOf } from './ages.ts'
import type { Screen, Tint } from '../screen.ts'
import { table, type Column } from './table.ts'

/** Rows of any number of pages; `as_of`: when what is owed was counted. */
export interface DestinationRows {
  destinations: readonly DestinationAnswer[]
  total: number
  as_of: number | null
}

const TINTS: Readonly<Record<string, Tint>> = {
  ...{ backing_off: 'trouble', refused: 'trouble', dead: 'trouble' },
  ...{ catching_up: 'warning', paused: 'warning', blocked: 'warning', sending: 'good' },
}

export const tintOfState = (state: string): Tint | null => TINTS[state] ?? null

export function showDestinations(
  { destinations, total, as_of }: DestinationRows,
  now: number,
  screen: Screen,
): string {
  const columns: Column<DestinationAnswer>[] = [
    { title: 'DESTINATION', value: (row) => row.destination, id: 'destination' },
    { title: 'STATE', value: (row) => row.state, tint: (row) => tintOfState(row.state) },
    { title: 'PDUS', value: (row) => row.pending_pdus, right: true },
    { title: 'STICKY', value: (row) => row.pending_sticky, right: true },
    { title: 'EDUS', value: edusOf, right: true, spare: 1 },
    { title: 'OLDEST', value: (row) => ageText(row.oldest_pending_ms), right: true },
    { title: 'FAILING', value: (row) => since(row.failing_since, now), right: true },
    { title: 'NEXT', value: (row) => distance(row.next_attempt, now), right: true },
    { title: 'LAST OK', value: (row) => since(row.last_success, now), right: true, spare: 2 },
  ]
  const counted = as_of === null ? 'not counted yet' : `counted ${ageText(now - as_of) ?? ''} ago`
  const footer = `${shownOf(destinations.length, total)}, ${counted}`
  return destinations.length === 0 ? footer : `${table(destinations, columns, screen)}\n${footer}`
}

function edusOf({ pending_edus, pending_edus_capped }: DestinationAnswer): string | number | null {
  if (pending_edus == null) return null
  return pending_edus_capped === true ? `${pending_edus}+` : pending_edus
}

const since = (at: number | null, now: number) => (at === null ? null : ageText(now - at))
