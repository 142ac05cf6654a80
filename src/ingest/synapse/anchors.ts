/**
 * Anchors: which events stood at which places of Synapse's stream when limpet read past them. They tell a restored
 * database from one that simply went on, and find the last place that both have in common. Pure.
 *
 * There are at most sixteen, dense near our place and ever sparser below, so that they reach back over hundreds of
 * thousands of events. An anchor stays true wherever our place moves. If its event is gone (purged, or removed by
 * retention), that proves nothing.
 */
import { createHash } from 'node:crypto'
import type { PlacedEvent } from './safe-head.ts'

export interface Anchor {
  readonly at: number
  /** Of the event's id. */
  readonly mark: string
}

const MOST = 16

export const anchorOf = ({ at, eventId }: PlacedEvent): Anchor => ({
  at,
  mark: createHash('sha256').update(eventId).digest('base64url').slice(0, 10),
})

/** `anchors` (the newest first) and a newer one. */
export function withAnchor(anchors: readonly Anchor[], anchor: Anchor): readonly Anchor[] {
  if (anchors[0] !== undefined && anchors[0].at >= anchor.at) return anchors
  const all = [anchor, ...anchors]
  if (all.length <= MOST) return all
  // The one that is missed least: between neighbours that are close, seen from our place.
  let least = { index: all.length - 1, loss: Infinity }
  for (let i = 1; i < all.length - 1; i += 1) {
    const [newer, older] = [all[i - 1]?.at ?? 0, all[i + 1]?.at ?? 0]
    const loss = (newer - older) / (anchor.at - older)
    if (loss < least.loss) least = { index: i, loss }
  }
  return all.toSpliced(least.index, 1)
}

/** Anchors as the events that were found at their places make them: those that still stand, and those where another event is. */
export function compareAnchors(anchors: readonly Anchor[], found: readonly PlacedEvent[]) {
  const now = new Map(found.map((event) => [event.at, anchorOf(event).mark]))
  const standing = anchors.filter(({ at, mark }) => now.get(at) === mark)
  const others = anchors.filter(({ at, mark }) => now.has(at) && now.get(at) !== mark)
  return { standing, others }
}
