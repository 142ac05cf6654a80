/** Stores what a source brings; an item that only the database could refuse is left out, with a line in the log. */
import type { Log } from '../../observe/log.ts'
import type { Append, AppendResult } from '../append.ts'
import type { Item } from '../items.ts'

export interface Batch {
  readonly source: string
  readonly sourceToken: string
  readonly ifSourceToken: string | null
  readonly items: Item[]
}

/** What is not an error. */
export type Stored = Extract<AppendResult, { kind: 'taken' | 'token_mismatch' | 'busy' }>

export type StoreItems = (batch: Batch) => Promise<Stored>

export function makeStoreItems({ append, log }: { append: Append; log: Log }): StoreItems {
  return async function store(batch) {
    const result = await append(batch)
    switch (result.kind) {
      case 'invalid': {
        // Only the database could tell: one odd item must not stop the stream.
        const { index, path, message } = result
        const odd = batch.items[index]
        if (odd === undefined) throw new Error(`the items were not taken: ${message}`)
        const event_id = 'eventId' in odd ? odd.eventId : undefined
        log.error({ type: odd.type, event_id, path }, `Synapse: an item was left out: ${message}`)
        return store({ ...batch, items: batch.items.toSpliced(index, 1) })
      }
      case 'unavailable':
        throw new Error(`the items were not taken: ${result.message}`)
      default:
        return result
    }
  }
}
