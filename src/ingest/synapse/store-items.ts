/** Stores what a source brings. An item that only the database could refuse is left out, with a line in the log. */
import type { Log } from '../../observe/log.ts'
import type { Append, AppendResult } from '../append.ts'
import type { Item } from '../items.ts'

export interface ItemsToStore {
  readonly source: string
  readonly sourceToken: string
  readonly ifSourceToken: string | null
  readonly items: Item[]
  /** Take nothing where limpet does not know a room that they go by. */
  readonly onlyKnownRooms?: boolean
  /** Told of rooms of which limpet has other lists than we think: they are to be told as a whole. */
  readonly forget?: (roomId: string) => void
}

/** What is not an error. */
export type Stored = Extract<AppendResult, { kind: 'taken' | 'token_mismatch' | 'full' | 'unknown_rooms' }>

export type StoreItems = (batch: ItemsToStore) => Promise<Stored>

export function makeStoreItems({ append, log }: { append: Append; log: Log }): StoreItems {
  return async function store(batch) {
    const { forget = () => undefined, ...given } = batch
    const result = await append(given)
    switch (result.kind) {
      case 'invalid': {
        // Only the database could tell: one odd item must not stop the stream.
        const { index, path, message } = result
        const odd = batch.items[index]
        if (odd === undefined) throw new Error(`the items were not taken: ${message}`)
        const event_id = 'eventId' in odd ? odd.eventId : undefined
        log.error({ type: odd.type, event_id, path }, `Synapse: left out an item: ${message}`)
        if ('roomId' in odd && odd.type !== 'event') forget(odd.roomId)
        return store({ ...batch, items: batch.items.toSpliced(index, 1) })
      }
      case 'taken':
        for (const roomId of result.unknownRooms) forget(roomId)
        for (const { index } of result.ignored) {
          // A server came that was there, or left that was not.
          const item = batch.items[index]
          if (item?.type === 'servers' && !('set' in item.change)) forget(item.roomId)
        }
        return result
      case 'unknown_rooms':
        for (const roomId of result.rooms) forget(roomId)
        return result
      case 'unavailable':
        throw new Error(`the items were not taken: ${result.message}`)
      default:
        return result
    }
  }
}
