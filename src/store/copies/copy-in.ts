/**
 * Fills a table from PostgreSQL's own text form, `COPY … FROM STDIN`.
 *
 * Always: no more is read than the connection takes. If the rows can't be read to their end, PostgreSQL is told so and
 * the statement fails: half a table is never taken for a whole one.
 */
import { once } from 'node:events'
import type pg from 'pg'
import type { Sql } from '../statement.ts'
import { rowsIn, type CopyConnection } from './copy-connection.ts'

/**
 * Runs `copy` with `rows`. Returns the number of rows that were stored.
 * @throws what PostgreSQL answers, or what `rows` throws
 */
export function copyIn(client: pg.ClientBase, copy: Sql, rows: AsyncIterable<Buffer>): Promise<number> {
  return new Promise((resolve, reject) => {
    client.query(new CopyIn(copy, rows, { resolve, reject }))
  })
}

interface Ends {
  resolve: (rows: number) => void
  reject: (error: Error) => void
}

class CopyIn implements pg.Submittable {
  readonly #copy: Sql
  readonly #rows: AsyncIterable<Buffer>
  readonly #ends: Ends
  readonly #over = new AbortController()
  /** Why `rows` ended early. */
  #cause: Error | null = null
  #stored = 0

  constructor(copy: Sql, rows: AsyncIterable<Buffer>, ends: Ends) {
    this.#copy = copy
    this.#rows = rows
    this.#ends = ends
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#copy)
  }

  handleCopyInResponse(connection: CopyConnection): void {
    this.#send(connection).then(
      () => this.#over.signal.aborted || connection.endCopyFrom(),
      (error: unknown) => {
        if (this.#over.signal.aborted) return
        this.#cause = error as Error
        connection.sendCopyFail('the rows could not be read')
      },
    )
  }

  async #send(connection: CopyConnection): Promise<void> {
    const { signal } = this.#over
    for await (const piece of this.#rows) {
      if (signal.aborted) return
      connection.sendCopyFromChunk(piece)
      if (connection.stream.writableNeedDrain) await once(connection.stream, 'drain', { signal })
    }
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#stored = rowsIn(text)
  }

  handleReadyForQuery(): void {
    this.#ends.resolve(this.#stored)
  }

  handleError(error: Error): void {
    this.#over.abort()
    this.#ends.reject(this.#cause ?? error)
  }

  handleRowDescription(): void {
    // COPY has none.
  }
}
