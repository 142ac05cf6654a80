/**
 * Our place in Synapse's stream, and the one way to move it: in the commit that stores the items up to there, and only
 * from where we thought it was. If the items were not taken, or may not have been, our place is unknown and has to be
 * read again.
 */
import type { Clock } from '../../pace/clock.ts'
import type { Log } from '../../observe/log.ts'
import type { Item } from '../items.ts'
import type { StoreItems } from './store-items.ts'
import { eventsIn, SOURCE, tokenAt } from './token.ts'

export interface SourcePlace {
  /** The token as it is stored. */
  readonly stored: string | null
  /** How far the event stream was read; may be ahead of what is stored where nothing was to be taken. */
  readonly events: number
}

export interface OurPlaceNeeds {
  readonly tokenOf: (source: string) => Promise<string | null>
  readonly store: StoreItems
  /** Forgets which rooms were told, or one room. */
  readonly forget: (roomId?: string) => void
  /** @throws where what was read may not be stored */
  readonly refuse: () => void
  /** Items were stored. */
  readonly stored: () => void
  readonly clock: Clock
  readonly log: Log
}

export interface OurPlace {
  /** The stored one; null: none was ever stored. */
  find(): Promise<SourcePlace | null>
  /**
   * Stores items and the new place; null: not taken, or it is unknown whether. `onlyKnownRooms`: not where limpet does not know a
   * room that they go by.
   */
  readonly take: (
    items: Item[],
    to: { readonly events: number; readonly from: string | null; readonly onlyKnownRooms?: boolean },
    signal: AbortSignal,
  ) => Promise<SourcePlace | null>
  /** The first one of all; null: `head` is not known yet, or the same as for `take`. */
  begin(head: number | null, signal: AbortSignal): Promise<SourcePlace | null>
}

export function makeOurPlace(needs: OurPlaceNeeds): OurPlace {
  const { tokenOf, store, forget, refuse, stored, clock, log } = needs
  let lastTaken = 0
  let saidUnnoted = false

  const take: OurPlace['take'] = async (items, { events, from, onlyKnownRooms = false }, signal) => {
    refuse()
    const sourceToken = tokenAt(events)
    const result = await store({
      ...{ source: SOURCE, sourceToken, ifSourceToken: from, items, onlyKnownRooms, forget },
    })
    switch (result.kind) {
      case 'taken':
        lastTaken = events
        if (items.length > 0) stored()
        return { stored: sourceToken, events }
      case 'token_mismatch':
        log.debug('Synapse: another process has already taken this part of the stream')
        return null
      case 'unknown_rooms':
        // Somebody purged rooms that were told: these are read and told again, and the window is taken then.
        log.info({ rooms: result.rooms.length }, 'Synapse: telling rooms again that limpet no longer knows')
        return null
      case 'full':
        await clock.sleep(result.retryAfterMs, signal)
        return null
    }
  }

  return {
    take,
    async find() {
      const stored = await tokenOf(SOURCE)
      const events = eventsIn(stored)
      if (events === null) return null
      // Our own database went back: what it was told since is to be told again.
      if (events < lastTaken) forget()
      log.debug({ events }, 'Synapse: going on from the stored place')
      return { stored, events }
    },
    async begin(head, signal) {
      if (head === null) {
        if (!saidUnnoted)
          log.info(
            'Synapse: no event writer has noted a place yet; waiting for its next event, or for 11 minutes',
          )
        saidUnnoted = true
        return null
      }
      const place = await take([], { events: head, from: null }, signal)
      if (place !== null)
        log.info(
          { events: head },
          'Synapse: first start, at the head of its stream: earlier events are not sent',
        )
      return place
    },
  }
}
