/**
 * How long an event is sticky.
 *
 * MSC4354: an event with a top-level `sticky` object (unstable name `msc4354_sticky`) is sticky for its
 * `duration_ms`, at most an hour, from when it was sent or received, whichever is earlier, so that a sender
 * whose clock is ahead cannot stretch it.
 */
import { domainOf } from './ids.ts'
import { isJsonObject } from './json-value.ts'
import type { JsonObject } from './json-value.ts'

export interface StickyQuestion {
  pdu: JsonObject
  /** The names under which the object may stand: the first valid one counts. */
  fieldNames: readonly string[]
  /** When we received the event, milliseconds since the epoch. */
  receivedTs: number
  /** The longest that counts: an hour by the MSC. */
  maxDurationMs: number
}

/**
 * Until when the event is sticky (milliseconds since the epoch, exclusive), or null for an ordinary event.
 * The moment may be past. Whether it is one of ours and was not flagged is for the caller to ask.
 */
export function stickyUntil({ pdu, fieldNames, receivedTs, maxDurationMs }: StickyQuestion): number | null {
  const duration = stickyDuration(pdu, fieldNames)
  const sentTs = pdu['origin_server_ts']
  if (duration === null || typeof sentTs !== 'number') return null
  return Math.min(sentTs, receivedTs) + Math.min(duration, maxDurationMs)
}

/** The duration that the event asks for (milliseconds, above zero, not capped), or null for an ordinary event. */
export function stickyDuration(pdu: JsonObject, fieldNames: readonly string[]): number | null {
  for (const name of fieldNames) {
    const field = Object.hasOwn(pdu, name) ? pdu[name] : undefined
    if (!isJsonObject(field)) continue
    const duration = field['duration_ms']
    // Numbers from `parseJson` are integers: every other kind of number is an `OddNumber` there.
    if (typeof duration === 'number' && Number.isInteger(duration) && duration > 0) return duration
  }
  return null
}

/** Whether the sender (a user id) belongs to this server: we replay only events of our own users. */
export function isOurs(sender: string, serverName: string): boolean {
  return domainOf(sender) === serverName
}
