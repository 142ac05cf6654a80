/** `limpet destinations`: one line for each destination. */
import type { DestinationAnswer, DestinationsAnswer } from './answers.ts'
import { ageText, distance, table, type Column } from './table.ts'

export function showDestinations({ destinations, total, as_of }: DestinationsAnswer, now: number): string {
  const columns: Column<DestinationAnswer>[] = [
    { title: 'DESTINATION', value: (row) => row.destination, shrinkTo: 24 },
    { title: 'STATE', value: (row) => row.state },
    { title: 'PDUS', value: (row) => row.pending_pdus, right: true },
    { title: 'STICKY', value: (row) => row.pending_sticky, right: true },
    { title: 'EDUS', value: edusOf, right: true },
    { title: 'OLDEST', value: (row) => ageText(row.oldest_pending_ms), right: true },
    { title: 'FAILING', value: (row) => since(row.failing_since, now), right: true },
    { title: 'NEXT', value: (row) => distance(row.next_attempt, now), right: true },
    { title: 'LAST OK', value: (row) => since(row.last_success, now), right: true },
  ]
  const counted = as_of === null ? 'not counted yet' : `counted ${ageText(now - as_of) ?? ''} ago`
  const shown = destinations.length.toLocaleString('en-US')
  const footer = `${shown} of ${total.toLocaleString('en-US')}, ${counted}`
  return destinations.length === 0 ? footer : `${table(destinations, columns)}\n${footer}`
}

function edusOf({ pending_edus, pending_edus_capped }: DestinationAnswer): string | number | null {
  if (pending_edus == null) return null
  return pending_edus_capped === true ? `${pending_edus}+` : pending_edus
}

const since = (at: number | null, now: number) => (at === null ? null : ageText(now - at))
