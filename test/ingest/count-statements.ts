/** How many statements a request to ingest takes. */
import type { IngestWorld } from './ingest-world.ts'

/** Counts from before the first connection is made: those that are there already are not listened to. */
export function makeCountStatements({ pool, take }: Pick<IngestWorld, 'pool' | 'take'>) {
  let count = 0
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...given: unknown[]) => unknown
    client.query = ((...given: unknown[]) => {
      count += 1
      return query(...given)
    }) as typeof client.query
  })
  return async (items: object[]): Promise<number> => {
    // What a connection of before said is not counted.
    count = 0
    await take(items)
    return count
  }
}
