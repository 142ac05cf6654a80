/**
 * What limpet was told of EDUs: an item as ingest takes it (contract 3), and what a verdict needs to know of it.
 */

/** An item of the ingest API. */
export interface EduToTell {
  readonly type: 'edu'
  readonly edu_type: string
  readonly content: Readonly<Record<string, unknown>>
  /** The servers in these rooms; or exactly those in `destinations`. */
  readonly rooms?: readonly string[]
  readonly destinations?: readonly string[]
  /** As `key` and `ttl_ms` of the item. */
  readonly key?: string
  readonly ttl_ms?: number
}

export interface ToldEdu {
  readonly kind: 'edu'
  /** When the request that carried it began, and when that was answered with 200; ms since the epoch. */
  readonly at: number
  readonly takenAt: number
  readonly item: EduToTell
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DURABLE = [
  'm.direct_to_device',
  'm.device_list_update',
  'm.signing_key_update',
  'org.matrix.signing_key_update',
]

/** For how long it is sent at all after it was taken, ms; null: it is durable. Contract 3. */
export function lifeOf({ edu_type: type, content, ttl_ms: own }: EduToTell): number | null {
  if (own !== undefined) return own
  if (DURABLE.includes(type)) return null
  if (type === 'm.receipt') return 24 * HOUR_MS
  if (type === 'm.presence') return 10 * MINUTE_MS
  if (type === 'm.typing') return content['typing'] === false ? 2 * MINUTE_MS : MINUTE_MS
  return HOUR_MS
}
