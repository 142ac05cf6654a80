/**
 * Does a Redis accept our writes, and do they last? A replica usually refuses writes. A replica that is configured to
 * accept them loses them at its next synchronisation with its master.
 */
import { Cluster, type Redis } from 'ioredis'

export type RedisClient = Redis | Cluster

/** A message of ours, in the words of Redis: it is treated as its own would be. */
export class ReplicaError extends Error {
  override readonly name = 'ReplicaError'
}

/**
 * Whether Redis refuses to write because of what it is at the moment, not because of what it was told: a replica (READONLY),
 * one that has lost its master or takes its data over (MASTERDOWN, LOADING), a master without enough replicas
 * (NOREPLICAS). From a script Redis 6 puts other words around it.
 */
export function isRedisReadOnly(error: unknown): error is Error {
  return error instanceof Error && /\b(READONLY|MASTERDOWN|LOADING|NOREPLICAS)\b/.test(error.message)
}

/** Whether it answers and takes nothing: as above, or it has no memory left (OOM), or can't save (MISCONF). */
export function refusesWrites(error: unknown): error is Error {
  return isRedisReadOnly(error) || (error instanceof Error && /^(OOM|MISCONF)\b/.test(error.message))
}

/** Belongs to no queue of BullMQ's, and lies in the slot of them all. */
const keyOf = (prefix: string) => `${prefix}:written`
/** What is written goes by itself, ms. */
const KEPT_MS = 3_600_000

/** Writes something where the queues are. Rejects where it is not taken, and with a `ReplicaError` where it does not count. */
export async function proveRedisWrite(client: RedisClient, prefix: string): Promise<void> {
  await client.set(keyOf(prefix), Date.now(), 'PX', KEPT_MS)
  await refuseReplica(client)
}

/** Rejects with a `ReplicaError` where it is a replica. In a Cluster its client sees to that. */
export async function refuseReplica(client: RedisClient): Promise<void> {
  if (client instanceof Cluster) return
  if ((await roleOf(client)) === 'slave') throw new ReplicaError('READONLY this server is a replica')
}

async function roleOf(client: Redis): Promise<string | undefined> {
  return infoField(await client.info('replication'), 'role')
}

/** One field of what Redis' INFO says. */
export function infoField(info: string, name: string): string | undefined {
  return info
    .split(/\r?\n/)
    .find((line) => line.startsWith(`${name}:`))
    ?.slice(name.length + 1)
}
