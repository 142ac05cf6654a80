/**
 * Puts the content of a window into the order in which limpet's stream takes it. Pure.
 *
 * Promises: an event comes before the membership change at its own position, so that the event that ends a server's
 * membership still finds it there. Changes of several users at one position of a room are one step. A redaction comes
 * after the event that it redacts, and after the redacting event.
 */
import type { SynapseRedaction } from './redactions.ts'
import type { SynapseEvent, MemberChange, Window } from './window.ts'

export type Step =
  | { readonly kind: 'event'; readonly row: SynapseEvent }
  | { readonly kind: 'changes'; readonly roomId: string; readonly changes: readonly MemberChange[] }
  | { readonly kind: 'redact'; readonly redaction: SynapseRedaction }

export function orderSteps({ events, changes, redactions }: Omit<Window, 'upTo' | 'server'>): Step[] {
  const placed: { at: number; rank: number; step: Step }[] = []
  for (const row of events) placed.push({ at: row.at, rank: 0, step: { kind: 'event', row } })
  let together: MemberChange[] = []
  for (const change of changes) {
    const [first] = together
    if (first?.at !== change.at || first.room_id !== change.room_id) {
      together = []
      placed.push({
        at: change.at,
        rank: 1,
        step: { kind: 'changes', roomId: change.room_id, changes: together },
      })
    }
    together.push(change)
  }
  for (const redaction of redactions)
    placed.push({ at: redaction.at, rank: 2, step: { kind: 'redact', redaction } })
  // Sorting is stable: what is of one place and kind stays in the order in which it was read.
  return placed.sort((a, b) => a.at - b.at || a.rank - b.rank).map(({ step }) => step)
}
