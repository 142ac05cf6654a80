/**
 * A window's redactions as items: only those that change something limpet stores, and a limited number in each commit.
 *
 * A ban may redact thousands of events at once (MSC4293). limpet never had most of them, or removed them long ago, and
 * every commit holds up all other ingest and every freeze. So limpet asks its own log, a page at a time, which of
 * these events it still stores unredacted, and looks up only those in Synapse. A large number goes ahead of its window
 * in pieces. Each piece is a commit that leaves the source's place where it was; after a crash in between, what is
 * done already is not found again. Ids and texts are read a piece at a time, so memory does not grow with what a ban
 * redacts.
 */
import type { JsonObject } from '../../matrix/json-value.ts'
import type { Log } from '../../observe/log.ts'
import type { Pool } from '../../store/db.ts'
import type { HeldPage } from '../../store/ingest/held-events.ts'
import type { Item } from '../items.ts'
import {
  rawRedaction,
  readBanned,
  readSentBy,
  readStoredJson,
  type BanRedaction,
  type SynapseRedaction,
} from './redactions.ts'
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
  /** What limpet holds of one sender's events in a room; left out, Synapse is asked what there was. */
  readonly heldBy?: ((asked: AskedPage) => Promise<HeldPage>) | undefined
  readonly log: Log
}

export interface AskedPage {
  readonly roomId: string
  readonly sender: string
  readonly after: number
  readonly limit: number
}

export interface RedactionItems {
  /** What goes before the window, in pieces that are read one by one, and the window with what goes with it. */
  split(
    window: Window,
  ): Promise<{ readonly ahead: AsyncIterable<SynapseRedaction[]>; readonly window: Window }>
  /** The items, by the redacted event's id; what cannot be made one is left out, with its id in the log. */
  itemsOf(redactions: readonly SynapseRedaction[]): Promise<Map<string, Item>>
}

export function makeRedactionItems({
  pool,
  parseItem,
  held,
  heldBy,
  log,
}: RedactionItemsNeeds): RedactionItems {
  async function split(window: Window) {
    const byTarget = new Map<string, SynapseRedaction>()
    for (const one of window.redactions) if (!byTarget.has(one.event_id)) byTarget.set(one.event_id, one)
    const brought = new Set(window.events.map((row) => row.event_id))
    const known = await heldAmong([...byTarget.keys()].filter((id) => !brought.has(id)))
    const own = [...byTarget.values()].filter((one) => brought.has(one.event_id))
    const first = new Map<string, SynapseRedaction>()
    for (const [id, one] of byTarget) if (known.has(id)) first.set(id, one)
    const banned = bannedBy(window.bans, brought)
    while (first.size + own.length <= REDACTIONS_A_COMMIT) {
      const page = await banned.next()
      if (page.done === true) {
        const redactions = [...first.values(), ...own]
        return { ahead: inPieces([], banned), window: { ...window, redactions, bans: [] } }
      }
      for (const one of page.value) if (!first.has(one.event_id)) first.set(one.event_id, one)
    }
    return {
      ahead: inPieces([...first.values()], banned),
      window: { ...window, redactions: own, bans: [] },
    }
  }

  /** What bans redact of what limpet holds, page by page; `brought`: what the window itself brings is none of it. */
  async function* bannedBy(
    bans: readonly BanRedaction[],
    brought: ReadonlySet<string>,
  ): AsyncGenerator<SynapseRedaction[], undefined> {
    for (const ban of bans) {
      const [roomId, sender] = [ban.room_id, ban.user_id]
      for (let after: number | null = Number.MIN_SAFE_INTEGER; after !== null;) {
        const asked: AskedPage = { roomId, sender, after, limit: ASKED_AT_ONCE }
        const page: HeldPage = heldBy === undefined ? await sentBy(asked) : await heldBy(asked)
        const ids = page.eventIds.filter((id) => !brought.has(id))
        if (ids.length > 0) yield await readBanned(pool, ban, ids)
        after = page.next
      }
    }
  }

  async function sentBy(asked: AskedPage): Promise<HeldPage> {
    const { eventIds, next } = await readSentBy(pool, asked)
    return { eventIds: [...(await heldAmong(eventIds))], next }
  }

  async function heldAmong(ids: readonly string[]): Promise<ReadonlySet<string>> {
    if (held === undefined) return new Set(ids)
    const found = new Set<string>()
    for (const some of cut(ids, ASKED_AT_ONCE)) for (const id of await held(some)) found.add(id)
    return found
  }

  async function itemsOf(redactions: readonly SynapseRedaction[]): Promise<Map<string, Item>> {
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
        log.error({ err: error, event_id }, 'Synapse: left out a redaction that cannot be passed on')
      }
    }
    return items
  }

  return { split, itemsOf }
}

/** `first` and then what `more` brings, in pieces that fit into one commit. */
async function* inPieces(
  first: readonly SynapseRedaction[],
  more: AsyncIterable<readonly SynapseRedaction[]>,
): AsyncGenerator<SynapseRedaction[], undefined> {
  yield* cut(first, REDACTIONS_A_COMMIT)
  for await (const page of more) yield* cut(page, REDACTIONS_A_COMMIT)
}

function cut<T>(all: readonly T[], size: number): T[][] {
  const pieces: T[][] = []
  for (let from = 0; from < all.length; from += size) pieces.push(all.slice(from, from + size))
  return pieces
}
