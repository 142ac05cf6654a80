/**
 * Brings the next look at failing destinations forward, where a new sticky event asks for a try before their backoff ends (contract 5.8).
 *
 * Done by the fanout, whose cursor moves after it: what a crash leaves undone is done again. Never by ingest, whose transaction holds the
 * stream's lock. Most of the members of a room that fail are only read: in a room where much is said, the try is planned already.
 */
import type { Pool } from '../../store/db.ts'
import { findFailingFor, lookSooner } from '../../store/delivery/sooner.ts'
import { nextDeadlineLook, type DeadlineSettings } from '../rules/deadline.ts'

/** Rows that are locked at once: what else wants them waits for no more. */
const AT_ONCE = 500

/** For what is new after `after`, up to `upto`. */
export async function bringForward(
  pool: Pool,
  { after, upto }: { after: number; upto: number },
  settings: DeadlineSettings,
): Promise<void> {
  if (!settings.deadline_retries) return
  const sooner = (await findFailingFor(pool, { after, upto, longOutageMs: settings.long_outage_ms })).flatMap(
    ({ id, now, lookAt, waiting, owed }) => {
      // It is woken as well, but a wake may be lost.
      if (lookAt === null) return [{ id, at: now }]
      const next = nextDeadlineLook(waiting, owed, now, settings)
      return next !== null && next.at < lookAt ? [{ id, at: Math.max(next.at, now) }] : []
    },
  )
  for (let from = 0; from < sooner.length; from += AT_ONCE)
    await lookSooner(pool, sooner.slice(from, from + AT_ONCE))
}
