/** Why the queue can't be used; the message says what to do. */
export class QueueError extends Error {
  readonly code: 'unreachable' | 'settings' | 'schema'

  constructor(code: QueueError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'QueueError'
    this.code = code
  }
}

/** What went wrong, in the words of the part that noticed first (ioredis and Node wrap it). */
export function firstReason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return firstReason(error.errors[0])
  if (!(error instanceof Error)) return String(error)
  const { lastNodeError } = error as { lastNodeError?: unknown }
  return lastNodeError === undefined ? error.message || error.name : firstReason(lastNodeError)
}
