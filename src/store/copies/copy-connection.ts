/** What a COPY uses of a connection of `pg`, which its types leave out. */
import type { Socket } from 'node:net'

export interface CopyConnection {
  stream: Socket
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
  sendCopyFail(why: string): void
}

/** The rows in `COPY 12`, as PostgreSQL ends one. */
export const rowsIn = (tag: string): number => Number(/^COPY (\d+)$/.exec(tag)?.[1] ?? Number.NaN)
