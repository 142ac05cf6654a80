/**
 * Does one address lead to several servers, such as standbys behind a balancer? What is read from one and then from
 * another does not fit together, because one is always behind.
 *
 * Promise: no false alarm. Several connections are open at once, and each is asked several times. Only servers that
 * answer while the others do count as several, so a restart or a switchover in between doesn't. A balancer that sends
 * all connections of one client to one server isn't noticed, and does no harm.
 */
import type pg from 'pg'
import { isLate, openCheckClient } from './check-client.ts'
import { drop } from './takes-writes.ts'
import { sql } from './statement.ts'

/** Which server serves a session, since which start, and with which of its databases. */
export const SERVER = `
  concat_ws(' ', (select oid from pg_database where datname = current_database()),
            inet_server_addr(), inet_server_port(), pg_postmaster_start_time())`

const CONNECTIONS = 3
/** A balancer may also choose anew for every statement. */
const TIMES = 4

/** Whether several servers answer at the address. */
export async function hasSeveralServers(url: string): Promise<boolean> {
  const clients: pg.Client[] = []
  try {
    for (let i = 0; i < CONNECTIONS; i += 1) {
      const client = openCheckClient(url)
      clients.push(client)
      try {
        await client.connect()
        await serverOf(client)
      } catch (error) {
        if (i === 0 || !isLate(error)) throw error
        // A narrow pooler, which has one server behind it.
        drop(client)
        clients.pop()
        break
      }
    }
    // All are open by now.
    const answers: string[] = []
    for (let i = 0; i < TIMES; i += 1) for (const client of clients) answers.push(await serverOf(client))
    return comesBack(answers)
  } finally {
    for (const client of clients) drop(client)
  }
}

/** Whether a server answers again after another one has: one that was replaced doesn't. */
export function comesBack(answers: readonly string[]): boolean {
  return answers.some((server, i) => i > 0 && answers[i - 1] !== server && answers.indexOf(server) < i - 1)
}

const WHICH = sql('which server is this', `select ${SERVER} as server`)

async function serverOf(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ server: string }>(WHICH)
  return rows[0]?.server ?? ''
}
