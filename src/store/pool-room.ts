/**
 * How many connections does a pooler in front of the database give one process at once? A pooler in session mode lets
 * a client that gets none wait without a word, and the client only sees time pass.
 *
 * A database without a pooler is not asked anything: a server that has no connection left says so itself.
 */
import type pg from 'pg'
import { placeOf } from '../config/url.ts'
import { ANSWERS, isLate, openCheckClient } from './check-client.ts'
import { drop } from './takes-writes.ts'
import { sql } from './statement.ts'

/** How many connections a part of limpet opens to a database. */
export interface ConnectionCount {
  /** At once, when all are busy. */
  most: number
  /** With fewer than these its work never gets on, because the connections wait for each other. */
  fewest: number
}

export interface Narrow {
  /** What the pooler gives at once. */
  given: number
  /** In one line: what is too little, and what to do. */
  complaint: string
  tooFew: boolean
}

/** Null: it is enough, or there is no pooler. `named`: for people. */
export async function narrowRoom(
  url: string,
  { most, fewest }: ConnectionCount,
  named = 'the database',
): Promise<Narrow | null> {
  const given = await countGiven(url, most)
  if (given === null || given >= most) return null
  const complaint =
    `the pooler in front of ${named} at ${placeOf(url)} gives only ${given} connections at once, and a limpet process opens up to ${most}: ` +
    `requests that find none free wait and fail with "timeout exceeded when trying to connect"; set PgBouncer's default_pool_size to at least ${most} ` +
    `for each limpet process, and its max_db_connections, max_user_connections and PostgreSQL's max_connections at least as high`
  return { given, complaint, tooFew: given < fewest }
}

/** At most `wanted`. Null: no pooler stands before the database. */
async function countGiven(url: string, wanted: number): Promise<number | null> {
  const clients: pg.Client[] = []
  const open = () => {
    const client = openCheckClient(url)
    clients.push(client)
    return client
  }
  try {
    const first = open()
    if (!(await isPooled(first))) return null
    const others = await Promise.all(Array.from({ length: wanted - 1 }, () => isGiven(open())))
    return 1 + others.filter((given) => given).length
  } finally {
    for (const client of clients) drop(client)
  }
}

const PROCESS = sql('which process serves the session', 'select pg_backend_pid() as pid')

/** A pooler speaks for itself when a session begins: the process that it names is not the one that serves. */
async function isPooled(client: pg.Client): Promise<boolean> {
  await client.connect()
  const { rows } = await client.query<{ pid: number }>(PROCESS)
  return (client as unknown as { processID: number | null }).processID !== rows[0]?.pid
}

async function isGiven(client: pg.Client): Promise<boolean> {
  try {
    await client.connect()
    await client.query(ANSWERS)
    return true
  } catch (error) {
    // It refuses more clients than it may have, or lets them wait for too long, by its own settings.
    if (isLate(error) || isFull(error)) return false
    throw error
  }
}

const isFull = (error: unknown): boolean =>
  (error as { code?: unknown }).code === '53300' ||
  (error instanceof Error &&
    /no more connections allowed|too many (?:clients|connections)/i.test(error.message))
