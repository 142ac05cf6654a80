/** How long is an EDU of a type worth sending, where its producer doesn't say? (contract, section 3) */
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** What is lost is missed for ever: messages, and what encryption goes by. */
const DURABLE = new Set([
  ...['m.direct_to_device', 'm.device_list_update', 'm.signing_key_update', 'org.matrix.signing_key_update'],
])
const TTL_MS = new Map([
  ['m.receipt', 24 * HOUR_MS],
  ['m.presence', 10 * MINUTE_MS],
  ['m.typing', MINUTE_MS],
])

export const isDurable = (eduType: string): boolean => DURABLE.has(eduType)

/** Of what is not durable, ms. */
export const ttlOf = (eduType: string): number => TTL_MS.get(eduType) ?? HOUR_MS
