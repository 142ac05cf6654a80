/**
 * `GET /v1/ingest/unreachable?since=TOKEN`: which servers does limpet fail to reach, for a homeserver's own other requests?
 *
 * A token is a moment of the database's clock. What was being written at that moment may have been committed after it, so the next answer goes
 * back a little before it: a server may be named twice, and none is left out.
 */
import { nextAttempt } from '../../deliver/rules/backoff.ts'
import type { Db } from '../../store/db.ts'
import { readReachability } from '../../store/views/unreachable.ts'

export interface Unreachable {
  /** Times in ms since the epoch; `next_attempt` may be over: then its turn is about to come. */
  servers: { server: string; failing_since: number | null; next_attempt: number }[]
  /** Failing at the token's time or since, and answering again. Empty without a token. */
  up: string[]
  token: string
}

/** An attempt is written down within this, ms. */
const OVERLAP_MS = 60_000
const TOKEN = /^u1-([0-9]{1,15})$/

export async function unreachableSince(db: Db, token: string | null): Promise<Unreachable> {
  const [, text] = TOKEN.exec(token ?? '') ?? []
  const since = text === undefined ? null : Number(text)
  const found = await readReachability(db, since === null ? null : since - OVERLAP_MS)
  // Of a database that was restored to an older state, or whose clock was set back.
  if (since !== null && since > found.now) return unreachableSince(db, null)
  return {
    servers: found.failing.map(({ name, waiting }) => ({
      server: name,
      failing_since: waiting.failingSince,
      next_attempt: nextAttempt(waiting, found.now),
    })),
    up: found.up,
    token: `u1-${found.now}`,
  }
}
