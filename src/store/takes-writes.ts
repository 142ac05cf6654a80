/**
 * A connection is useful only if its server accepts writes. After a switchover the old primary may come back as a
 * standby at the address that we know. It answers, and a process that stays connected to it can do nothing, for good.
 *
 * So each connection asks before its first use, and is refused if the answer is no. A connection whose server later
 * says that it accepts no writes any more (SQLSTATE 25006) is dropped as soon as it is not in a transaction, in the
 * pool or lent. The next one goes where the address leads by then. (`pg` supports neither a list of hosts nor
 * `target_session_attrs`.)
 */
import type { Socket } from 'node:net'
import type pg from 'pg'
import { sql } from './statement.ts'

/** What PostgreSQL calls `read_only_sql_transaction`. */
const READ_ONLY = '25006'
/** How long the answer may take, ms. Longer than on a healthy server, as long as a connection may take to open. */
const PATIENCE_MS = 5_000

/** Where a database is asked to remember and can't. It counts as away (`isUnavailable`). */
export class ReadOnlyError extends Error {
  override readonly name = 'ReadOnlyError'
  readonly code = READ_ONLY
}

/** Whether a server says that it accepts no writes, or we do for it. */
export function isReadOnly(error: unknown): error is Error {
  return error instanceof Error && (error as { code?: unknown }).code === READ_ONLY
}

// default_transaction_read_only is how some tools fence an old primary, and some hosts a full disk. The default is asked,
// not transaction_read_only, which is on in a snapshot of ours.
const QUESTION = sql(
  'does it take writes',
  `select pg_is_in_recovery() as standby, current_setting('default_transaction_read_only') = 'on' as fenced`,
)

/** Throws `ReadOnlyError` where the server of this connection accepts no writes. */
export async function askWhetherWritable(client: Pick<pg.ClientBase, 'query'>): Promise<void> {
  const asked = { text: QUESTION, query_timeout: PATIENCE_MS }
  const { rows } = await client.query<{ standby: boolean; fenced: boolean }>(asked)
  if (rows[0]?.standby === true) throw new ReadOnlyError('this server is a standby')
  if (rows[0]?.fenced === true) throw new ReadOnlyError('default_transaction_read_only is on')
}

/** For a new connection, before its first use. Throws where its server accepts no writes; the caller ends it then. */
export async function demandWrites(client: pg.ClientBase): Promise<void> {
  dropOnceReadOnly(client)
  await askWhetherWritable(client)
}

// A row that nothing else reads.
const PROOF = sql(
  'prove a write',
  `insert into cursors (name, pos) values ('written_at', now_ms())
  on conflict (name) do update set pos = excluded.pos`,
)

/** Writes something, and waits until it is as durable as anything that is acknowledged. */
export async function proveWrite(db: Pick<pg.Pool, 'query'>): Promise<void> {
  await db.query(PROOF)
}

/** Ends the connection without a word: its user is told as if the server had. */
export function drop(client: pg.ClientBase): void {
  partsOf(client).stream.destroy()
}

interface Parts {
  stream: Socket
  on(event: 'errorMessage', listener: (message: { code?: string }) => void): void
  on(event: 'readyForQuery', listener: (message: { status: string }) => void): void
}

/** The types of `pg` leave out what both its clients have. */
function partsOf(client: pg.ClientBase): Parts {
  return (client as unknown as { connection: Parts }).connection
}

function dropOnceReadOnly(client: pg.ClientBase): void {
  let refused = false
  const parts = partsOf(client)
  parts.on('errorMessage', ({ code }) => {
    refused ||= code === READ_ONLY
  })
  parts.on('readyForQuery', ({ status }) => {
    if (!refused || status !== 'I') return
    // Unheard, its end would end the process: a borrower may listen to nothing.
    client.on('error', () => undefined)
    // The caller hears the server's own words first.
    queueMicrotask(() => drop(client))
  })
}
