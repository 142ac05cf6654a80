/** Ingest, with a holder that freezes what it took, and a search for the tables in which a text still stands. */
import { randomUUID } from 'node:crypto'
import type { JsonObject } from '../../src/matrix/json-value.ts'
import { registerWorker } from '../../src/store/delivery/leases.ts'
import { freezeTransactions } from '../support/freeze.ts'
import { takeDestination } from '../support/one.ts'
import { makeIngestWorld, type GivenEvent } from './ingest-world.ts'

export type ContentWorld = Awaited<ReturnType<typeof makeContentWorld>>

export async function makeContentWorld() {
  const world = await makeIngestWorld()
  const worker = randomUUID()
  await registerWorker(world.pool, { id: worker, name: 'test', leaseMs: 600_000 })
  return {
    ...world,
    /** Freezes the events at `positions` for a destination, as its turn would; false when that is forbidden. */
    async freeze(name: string, positions: number[], readAt?: number): Promise<boolean> {
      const taken = await takeDestination(world.pool, worker, name)
      if (taken.kind !== 'taken') throw new Error(`${name} is ${taken.kind}`)
      const pdus = await world.rows<{ eventId: string; pdu: string }>(
        `select event_id as "eventId", pdu from events where pos = any($1) order by pos`,
        [positions],
      )
      const acknowledges = {
        positions,
        lanes: 't'.repeat(positions.length),
        eventIds: pdus.map(({ eventId }) => eventId),
        fromPos: 0,
        toPos: positions.at(-1) ?? 0,
        gap: null,
        gapCursor: null,
        closesGap: false,
        sticky: [],
      }
      const [startedAt] = await freezeTransactions(world.pool, [
        {
          held: taken.held,
          txnId: `txn-${name}`,
          bytes: Buffer.byteLength(`{"pdus":[${pdus.map(({ pdu }) => pdu).join(',')}]}`),
          originServerTs: 0,
          acknowledges,
          readAt: readAt ?? (await world.head()),
          narrowedSeq: Number(
            await world.value('select narrowed_seq from destinations where name = $1', [name]),
          ),
          soonestLapse: null,
          edusAs: null,
        },
      ])
      return startedAt !== null
    },
    open: () =>
      world.rows(
        `select d.name, o.void from open_transactions o
           join destinations d on d.id = o.destination order by d.name`,
      ),
    /** The tables in which an event's content still stands. */
    async holding({ pdu }: GivenEvent): Promise<string[]> {
      const words = (pdu['content'] as JsonObject)['body'] as string
      const tables = await world.rows<{ name: string }>(
        `select tablename as name from pg_tables where schemaname = 'public' and tablename !~ '^events_' order by tablename`,
      )
      const found: string[] = []
      for (const { name } of tables) {
        const hit = await world.rows(
          `select from ${name} t where t::text like '%' || $1 || '"%'
          or t::text like '%' || $1 || '\\""%' or t::text like '%' || $1 || '""%' limit 1`,
          [words],
        )
        if (hit.length > 0) found.push(name)
      }
      return found
    },
  }
}
