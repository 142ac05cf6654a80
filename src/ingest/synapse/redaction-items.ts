/**
 * A window's redactions as items: those that change what limpet holds, and a bounded number of them a commit.
 *
 * A ban may redact thousands of events at once (MSC4293), most of which limpet never held or gave away long ago, and every
 * commit holds up all other ingest and every freeze. So limpet's log is asked first which of them it holds, and many
 * go ahead of their window in pieces, each a commit that leaves the source's place where it was: a crash in between
 * repeats what was passed on, which changes nothing. Texts are read a piece at a time.
 */
import type { JsonObject } from '../../matrix/json-value.ts'
import type { Log } from '../../observe/log.ts'
import type { Pool } from '../../store/db.ts'
import type { Item } from '../items.ts'
import { rawRedaction, readStoredJson, type Redaction } from './redactions.ts'
import type { Window } from './window.ts'

/** So many go with a window, and in one piece. */
export const REDACTIONS_A_COMMIT = 100
const ASKED_AT_ONCE = 1_000

export interface RedactionItemsNeeds {
  /** Synapse's database. */
  readonly pool: Pool
  readonly parseItem: (raw: JsonObject) => Item
  /** Those of the events that limpet has something of; left out, all of them may be. */
  readonly held?: ((eventIds: readonly string[]) => Promise<readonly string[]>) | undefined
  readonly log: Log
}

export interface RedactionItems {
  /** What goes before the window, in pieces, and the window with what goes with it. */
  split(window: Window): Promise<{ readonly ahead: Redaction[][]; readonly window: Window }>
  /** The items, by the redacted event's id; what cannot be made one is left out, with its id in the log. */
  itemsOf(redactions: readonly Redaction[]): Promise<Map<string, Item>>
}

export function makeRedactionItems({ pool, parseItem, held, log }: RedactionItemsNeeds): RedactionItems {
  async function split(window: Window) {
    const byTarget = new Map<string, Redaction>()
    for (const one of window.redactions) if (!byTarget.has(one.event_id)) byTarget.set(one.event_id, one)
    const brought = new Set(window.events.map((row) => row.event_id))
    const known = await heldAmong([...byTarget.keys()].filter((id) => !brought.has(id)))
    const earlier = [...byTarget.values()].filter((one) => known.has(one.event_id))
    const own = [...byTarget.values()].filter((one) => brought.has(one.event_id))
    if (earlier.length + own.length <= REDACTIONS_A_COMMIT) {
      const redactions = [...byTarget.values()].filter(
        (one) => brought.has(one.event_id) || known.has(one.event_id),
      )
      return { ahead: [], window: { ...window, redactions } }
    }
    return { ahead: inPieces(earlier, REDACTIONS_A_COMMIT), window: { ...window, redactions: own } }
  }

  async function heldAmong(ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (held === undefined) return new Set(ids)
    const found = new Set<string>()
    for (const some of inPieces(ids, ASKED_AT_ONCE)) for (const id of await held(some)) found.add(id)
    return found
  }

  async function itemsOf(redactions: readonly Redaction[]): Promise<Map<string, Item>> {
    const items = new Map<string, Item>()
    if (redactions.length === 0) return items
    const stored = await readStoredJson(
      pool,
      redactions.map((one) => one.event_id),
    )
    for (const redaction of redactions) {
      const { event_id } = redaction
      try {
        items.set(event_id, parseItem(rawRedaction(redaction, stored.get(event_id) ?? null)))
      } catch (error) {
        log.error({ err: error, event_id }, 'Synapse: a redaction that cannot be passed on was left out')
      }
    }
    return items
  }

  return { split, itemsOf }
}

function inPieces<T>(all: readonly T[], size: number): T[][] {
  const pieces: T[][] = []
  for (let from = 0; from < all.length; from += size) pieces.push(all.slice(from, from + size))
  return pieces
}
