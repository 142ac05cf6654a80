/**
 * Reads a table in PostgreSQL's own text form, `COPY … TO STDOUT`, row by row and as fast as it is written on.
 *
 * Always: what is in memory is what one read of the socket brought, however large the table is. While the reader is
 * busy, nothing is taken from the socket. (`pg` has no COPY of its own; a query may be any object with these methods.)
 *
 * COPY's text form is the same in all versions of PostgreSQL that limpet knows: a line a row, in which a line break, a
 * tab and a backslash are escaped (https://www.postgresql.org/docs/current/sql-copy.html, "Text Format").
 */
import type pg from 'pg'
import type { Sql } from '../statement.ts'
import { rowsIn, type CopyConnection } from './copy-connection.ts'

/** Rows are handed on in pieces of at least this size, bytes, except for the last. */
const PIECE = 64 * 1024

/**
 * Runs `copy`, gives its lines to `write`, whole ones only, and waits for it. Returns the number of rows.
 * @throws what PostgreSQL answers, or `write` throws; after that the connection can't be used any more
 */
export function copyOut(
  client: pg.ClientBase,
  copy: Sql,
  write: (rows: Buffer) => Promise<void>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    client.query(new CopyOut(copy, write, { resolve, reject }))
  })
}

interface Ends {
  resolve: (rows: number) => void
  reject: (error: Error) => void
}

class CopyOut implements pg.Submittable {
  readonly #copy: Sql
  readonly #write: (rows: Buffer) => Promise<void>
  readonly #ends: Ends
  #lines: Buffer[] = []
  #bytes = 0
  #rows = 0
  /** Of pieces that `write` has not taken yet. */
  #waiting = 0
  #written: Promise<void> = Promise.resolve()

  constructor(copy: Sql, write: (rows: Buffer) => Promise<void>, ends: Ends) {
    this.#copy = copy
    this.#write = write
    this.#ends = ends
  }

  submit(connection: pg.Connection): void {
    connection.query(this.#copy)
  }

  handleCopyData({ chunk }: { chunk: Buffer }, connection: CopyConnection): void {
    // `pg` uses its buffer again when we have returned.
    this.#lines.push(Buffer.from(chunk))
    this.#bytes += chunk.length
    if (this.#bytes >= PIECE) this.#handOn(connection)
  }

  #handOn(connection: CopyConnection): void {
    const piece = Buffer.concat(this.#lines, this.#bytes)
    this.#lines = []
    this.#bytes = 0
    this.#waiting += 1
    connection.stream.pause()
    this.#written = this.#written.then(async () => {
      await this.#write(piece)
      this.#waiting -= 1
      if (this.#waiting === 0) connection.stream.resume()
    })
    // The rest of the table is of no use.
    this.#written.catch((error: unknown) => connection.stream.destroy(error as Error))
  }

  handleCommandComplete({ text }: { text: string }): void {
    this.#rows = rowsIn(text)
  }

  handleReadyForQuery(connection: CopyConnection): void {
    if (this.#bytes > 0) this.#handOn(connection)
    this.#written.then(() => this.#ends.resolve(this.#rows), this.#ends.reject)
  }

  handleError(error: Error): void {
    // Where we ended it ourselves, what we ended it for says more.
    this.#written.then(() => this.#ends.reject(error), this.#ends.reject)
  }

  handleRowDescription(): void {
    // COPY has none.
  }
}
