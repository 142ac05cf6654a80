/**
 * Which datastore holds the queues: BullMQ on PostgreSQL (the daemon's own database, in another schema) or on Redis. This is the only
 * place that asks.
 */
import type { Log } from '../src/observe/log.ts'
import type { Backend, QueueConfig } from './backend.ts'
import { openPostgresBackend } from './postgres-backend.ts'
import { openRedisBackend } from './redis-backend.ts'

/**
 * Opens the queue's connections. Rejects with a `QueueError` of code `unreachable` within a few seconds when nothing
 * answers, its message being the one line that a user should see.
 */
export function openBackend(config: QueueConfig, { log }: { log: Log }): Promise<Backend> {
  return config.kind === 'postgres'
    ? openPostgresBackend(config.url, log)
    : openRedisBackend(config.urls, log)
}
