/**
 * Our place in Synapse's streams, as the source token of source `synapse`: `events=123`.
 *
 * Named parts, so that later releases can add other streams to a token that an earlier one wrote.
 */
import { SynapseRefused } from './refused.ts'

/** The name of the Synapse source among sources. */
export const SOURCE = 'synapse'

/** The event stream's part of a token; null where nothing was ever taken. @throws SynapseRefused for any other text */
export function eventsIn(token: string | null): number | null {
  if (token === null) return null
  const digits = /(?:^| )events=(\d{1,15})(?: |$)/.exec(token)?.[1]
  if (digits === undefined) {
    throw new SynapseRefused(
      `the stored source token ${JSON.stringify(token.slice(0, 100))} was not written by this source`,
    )
  }
  return Number(digits)
}

export function tokenAt(events: number): string {
  return `events=${events}`
}
