/**
 * Notices within fifteen seconds that the database has fallen silent although no connection was closed: its machine
 * lost power, a firewall forgot us, the server hangs. Then it gives up every connection of the pool on which nothing
 * has been heard since, so that a caller that waits on one gets an error and the next caller gets a new connection.
 *
 * It also logs when the database begins to answer that it accepts no writes, and when it accepts them again. The
 * connections themselves are refused or dropped one by one (`takes-writes.ts`).
 *
 * A statement may take long, so the duration of a statement proves nothing. limpet asks on a separate connection;
 * while that one gets answers, nothing else is touched. Conversely, a database that answers on new connections only
 * (the firewall again) is found out, because the separate connection is an old one too.
 */
import type { Socket } from 'node:net'
import pg from 'pg'
import type { Clock } from '../pace/clock.ts'
import { repeat } from '../pace/repeat.ts'
import type { Log } from '../observe/log.ts'
import type { Pool } from './db.ts'
import { clientFor } from './scram-client.ts'
import { beginSession } from './session.ts'
import { askWhetherWritable, isReadOnly } from './takes-writes.ts'

export interface SilenceWatch {
  /** Asks no more. */
  stop(): Promise<void>
}

export interface SilenceNeeds {
  url: string
  clock: Clock
  log: Pick<Log, 'warn' | 'info'>
  /** How often it asks, ms. */
  everyMs?: number
  /** How long an answer may take, ms. */
  patienceMs?: number
}

const EVERY_MS = 5_000
const PATIENCE_MS = 10_000
/** A process that was stopped sees its timers run out before it reads what had come meanwhile, ms. */
const READ_FIRST_MS = 100

/** Watches the connections that the pool opens from now on. */
export function watchForSilence(pool: Pool, needs: SilenceNeeds): SilenceWatch {
  const { url, clock, log, everyMs = EVERY_MS, patienceMs = PATIENCE_MS } = needs
  const stopping = new AbortController()
  const sockets = new Set<Socket>()
  const heard = new WeakMap<Socket, number>()
  let asking: pg.Client | null = null
  let readOnly = false

  const follow = (client: pg.PoolClient) => {
    const socket = socketOf(client)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  pool.on('connect', follow)

  async function ask(): Promise<void> {
    if (asking === null) {
      const times = { connectionTimeoutMillis: patienceMs, query_timeout: patienceMs }
      const client = new (clientFor(url))({
        connectionString: url,
        application_name: 'limpet-watch',
        ...times,
      })
      // What breaks it is told by the next question.
      client.on('error', () => undefined)
      asking = client
      await client.connect()
      await beginSession(client)
    }
    await askWhetherWritable(asking)
  }

  /** The first of a row of answers, not each of them. */
  function note(error: Error | null): void {
    if (readOnly === (error !== null)) return
    readOnly = error !== null
    if (error !== null) log.warn({ err: error }, 'the database accepts no writes; dropping its connections')
    else log.info('the database accepts writes again')
  }

  function giveUpTheUnheard(why: Error): number {
    let count = 0
    for (const socket of sockets) {
      if (heard.get(socket) !== socket.bytesRead) continue
      socket.destroy(why)
      count += 1
    }
    return count
  }

  function remember(): void {
    for (const socket of sockets) heard.set(socket, socket.bytesRead)
  }

  async function probe(): Promise<void> {
    const asked = new AbortController()
    remember()
    // A connection that was just heard when the silence began has as long a time.
    void clock.sleep(patienceMs / 2, asked.signal).then(() => asked.signal.aborted || remember())
    try {
      await ask()
      note(null)
    } catch (error) {
      // Where it accepts no writes the next question goes where the address leads by then.
      if (asking !== null) socketOf(asking).destroy()
      asking = null
      if (isReadOnly(error)) {
        note(error)
        return
      }
      // Whatever it says (that it has no more connections, say), it speaks.
      if (error instanceof pg.DatabaseError || stopping.signal.aborted) return
      await clock.sleep(READ_FIRST_MS)
      const connections = giveUpTheUnheard(new Error('Connection terminated: the database fell silent'))
      if (connections > 0) {
        log.warn({ err: error, connections }, 'the database is silent: giving up these connections')
      }
    } finally {
      asked.abort()
    }
  }

  const watching = repeat(probe, { clock, everyMs }, stopping.signal)

  return {
    stop: async () => {
      stopping.abort()
      pool.off('connect', follow)
      // It may hang in a question; nothing waits for the answer.
      if (asking !== null) socketOf(asking).destroy()
      await watching
    },
  }
}

/** The types of `pg` leave out what both its clients have. */
function socketOf(client: pg.ClientBase): Socket {
  return (client as unknown as { connection: { stream: Socket } }).connection.stream
}
