/**
 * How far may Synapse's event stream be read? Up to the place below which nothing can come any more.
 *
 * Every number up to there is in the tables, or is known to stay missing. What the writer has noted is final for its
 * own numbers only. A missing number below that may be one of a second writer, whose first event isn't committed yet,
 * or of a session that outlived its Synapse. So limpet waits until no transaction can be about to write it (`settled.ts`). If
 * no writer has noted anything, the events up to the first missing number are taken after a moment (Synapse still
 * writes for a while after an event is there). A missing number is passed when a row comes, or after minutes; never
 * because two looks saw the same.
 *
 * The stream of events is the only one that limpet reads by its positions (`current_state_delta_stream` shares its
 * numbers).
 */
import type { Clock } from '../../pace/clock.ts'
import type { Db } from '../../store/db.ts'
import { comesBack } from '../../store/one-server.ts'
import { severalServers } from './refused.ts'
import { mayReadExOutliers, readStreamEnd, SCANNED, type StreamLook } from './safe-head.ts'
import { makeSettled } from './settled.ts'

export interface StreamEnd {
  /**
   * Looks for somebody who has read up to `place` (null: who begins), and finds the events at the numbers `asked`.
   * `safe`: up to where to read; null: where to begin is not known yet.
   * @throws SynapseRefused for an unverified schema, several event writers or several servers
   */
  look(place: number | null, asked: readonly number[]): Promise<StreamLook & { readonly safe: number | null }>
}

/** Servers that are remembered. */
const MOST_SERVERS = 20

export function makeStreamEnd({ db, clock }: { db: Db; clock: Pick<Clock, 'monotonic'> }): StreamEnd {
  const settled = makeSettled(clock)
  let wasNoted = true
  let exOutliers: boolean | null = null
  const servers: string[] = []

  /** A server that was replaced doesn't come back as it was: then there are several, of which each look meets one. */
  function refuseSeveral(server: string): void {
    if (servers.at(-1) === server) return
    servers.push(server)
    if (comesBack(servers)) throw severalServers()
    if (servers.length > MOST_SERVERS) servers.shift()
  }

  function safeFor(place: number | null, { noted, newest, gap }: StreamLook, scannedFrom: number) {
    // Read without a gap after `scannedFrom`.
    const whole = gap === null ? Math.min(newest, scannedFrom + SCANNED) : gap - 1
    if (place === null) {
      if (noted !== null || newest === 0) return newest
      if (gap === null && settled.soon >= newest) return newest
      return settled.late > 0 ? settled.late : null
    }
    if (noted !== null) return Math.min(newest, Math.max(whole, settled.soon))
    // What was settled for a writer that had noted its place is not so for one that hasn't: the next look begins lower.
    if (wasNoted) return Math.min(newest, place)
    return Math.min(newest, Math.max(place, settled.late, Math.min(whole, settled.soon)))
  }

  return {
    async look(place, asked) {
      const after = place === null ? null : Math.max(place, wasNoted ? settled.soon : settled.late)
      exOutliers ??= await mayReadExOutliers(db)
      const seen = await readStreamEnd(db, { after, asked, exOutliers })
      refuseSeveral(seen.server)
      settled.saw(seen)
      const safe = safeFor(place, seen, after ?? 0)
      wasNoted = seen.noted !== null
      return { ...seen, safe }
    },
  }
}
