/**
 * Listens to a Redis channel for nudges. Messages may be lost while the connection is down; it reconnects by itself.
 */
import { Redis } from 'ioredis'
import type { Log } from '../src/observe/log.ts'
import { withDeadline } from './deadline.ts'
import { makeFaultLog } from './fault-log.ts'
import { QueueError, firstReason } from './queue-error.ts'
import { OPEN_MS } from './redis-client.ts'

export type Hear = (channel: string, onMessage: (message: string) => void, signal: AbortSignal) => void

const LONGEST_PAUSE_MS = 5_000

export function makeSubscriber({ url, log }: { url: string; log: Log }): Hear {
  return (channel, onMessage, signal) => {
    // One that has aborted already fires no event any more: nothing would end the connection.
    if (signal.aborted) return
    const say = makeFaultLog({ log, what: `the Redis of the channel ${channel} does not answer` })
    const redis = new Redis(url, {
      maxRetriesPerRequest: null,
      retryStrategy: (tries) => Math.min(100 * 2 ** tries, LONGEST_PAUSE_MS),
    })
    redis.on('error', say)
    redis.on('message', (_channel, message) => onMessage(message))
    // ioredis subscribes again by itself after a reconnection.
    redis.subscribe(channel).catch((error: unknown) => say(error as Error))
    signal.addEventListener('abort', () => redis.disconnect(), { once: true })
  }
}

/** Whether the channel can be heard: resolves soon, or rejects with the reason. */
export async function checkSubscribe(url: string, channel: string): Promise<void> {
  let reason: unknown
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null })
  redis.on('error', (error) => (reason ??= error))
  try {
    await withDeadline(OPEN_MS, 'Redis', redis.connect())
    await withDeadline(OPEN_MS, 'Redis', redis.subscribe(channel))
  } catch (error) {
    throw new QueueError('unreachable', firstReason(reason ?? error), { cause: error })
  } finally {
    redis.disconnect()
  }
}
