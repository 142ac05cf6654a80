/** What lists of destinations can be ordered by (`order_by`), the usual first. */
export const DESTINATION_ORDERS = [
  'destination',
  'position',
  'pending_pdus',
  'pending_sticky',
  'oldest_pending_ms',
  'failing_since',
  'last_attempt',
  'last_success',
  'retry_interval_ms',
] as const

export type DestinationOrder = (typeof DESTINATION_ORDERS)[number]
