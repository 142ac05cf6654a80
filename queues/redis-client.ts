/**
 * Connections to Redis: how long they wait, and whether they lead to one server or to a Cluster.
 *
 * If a server answers that it accepts no writes (a master that has become a replica), limpet drops the connection and
 * opens a new one a second later, to wherever the address leads by then.
 */
import { Cluster, Redis } from 'ioredis'
import { infoField, isRedisReadOnly, type RedisClient } from './redis-role.ts'
import { QUEUE_PATIENCE_MS, withDeadline } from './deadline.ts'

/** How long opening may take before Redis counts as unreachable, ms. */
export const OPEN_MS = 3_000

interface Patience {
  enableOfflineQueue: boolean
  maxRetriesPerRequest: number | null
  commandTimeout?: number
  socketTimeout: number
}

const LONGEST_PAUSE_MS = 1_000

/** How connections are made again. One a process: what one of them was told, the others are about to be. */
function makeRenewal(onReadOnly: (error: Error) => void) {
  let toldAt = -Infinity
  return {
    /** 1: the command fails, and the connection is made again. */
    reconnectOnError: (error: Error) => {
      if (!isRedisReadOnly(error)) return false
      toldAt = performance.now()
      onReadOnly(error)
      return 1 as const
    },
    // A client that is told so right after each connection would come again at once for ever.
    retryStrategy: (times: number) =>
      performance.now() - toldAt < LONGEST_PAUSE_MS
        ? LONGEST_PAUSE_MS
        : Math.min(50 * times, LONGEST_PAUSE_MS),
  }
}
type Renewal = ReturnType<typeof makeRenewal>

/** Fails fast: nothing is kept for later while the connection is down, and no command waits longer than its caller would. */
export const FOR_ADDING: Patience = {
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: QUEUE_PATIENCE_MS,
  // Of a peer that fell silent without a word; the next connection may be a better one.
  socketTimeout: 2 * QUEUE_PATIENCE_MS,
}
/** Waits for the server to come back, as BullMQ demands it of a worker. */
export const FOR_WORKERS: Patience = {
  enableOfflineQueue: true,
  maxRetriesPerRequest: null,
  // Longer than a worker waits for a job in one command (BullMQ: at most 10 s).
  socketTimeout: 15_000,
}

/**
 * Looks at the first address that answers, and gives what makes a connection: to that one Redis, or to the Cluster that
 * it belongs to. Rejects with the reason of the last one when none answers. `onReadOnly` is told when one is left because its
 * server accepts no writes.
 */
export async function chooseClient(
  urls: string[],
  onReadOnly: (error: Error) => void,
): Promise<(patience: Patience) => RedisClient> {
  const renewal = makeRenewal(onReadOnly)
  let reason: unknown = new Error('no address given')
  for (const url of urls) {
    const probe = new Redis(url, { ...FOR_ADDING, lazyConnect: true, retryStrategy: () => null })
    probe.on('error', (error: Error) => {
      reason = error
    })
    try {
      await withDeadline(OPEN_MS, 'Redis', probe.connect())
      const isCluster = infoField(await probe.info('cluster'), 'cluster_enabled') === '1'
      return isCluster || urls.length > 1
        ? (patience) => openCluster(urls, patience, renewal)
        : (patience) => new Redis(url, { ...patience, connectTimeout: QUEUE_PATIENCE_MS, ...renewal })
    } catch (error) {
      // What ioredis rejects with is only "Connection is closed."; the event before it had the reason.
      if (!(error instanceof Error && error.message === 'Connection is closed.')) reason = error
    } finally {
      probe.disconnect()
    }
  }
  throw reason
}

function openCluster(
  urls: string[],
  { enableOfflineQueue, ...patience }: Patience,
  { retryStrategy, reconnectOnError }: Renewal,
): Cluster {
  const nodes = urls.map((url) => new URL(url))
  const secure = nodes.some(({ protocol }) => protocol === 'rediss:')
  const { username, password } = nodes[0] ?? { username: '', password: '' }
  return new Cluster(
    nodes.map(({ hostname, port }) => ({
      host: hostname.replace(/^\[(.*)\]$/, '$1'),
      port: Number(port || 6379),
    })),
    {
      enableOfflineQueue,
      clusterRetryStrategy: retryStrategy,
      slotsRefreshTimeout: QUEUE_PATIENCE_MS,
      redisOptions: {
        ...patience,
        reconnectOnError,
        connectTimeout: QUEUE_PATIENCE_MS,
        ...(username ? { username: decodeURIComponent(username) } : {}),
        ...(password ? { password: decodeURIComponent(password) } : {}),
        ...(secure ? { tls: { rejectUnauthorized: true } } : {}),
      },
      // Certificates carry names. Looked up by ioredis, they would be compared with an address.
      ...(secure ? { dnsLookup: (address, found) => found(null, address) } : {}),
    },
  )
}

/** Resolves when commands can be sent. */
export function whenReady(client: RedisClient): Promise<void> {
  if (client.status === 'ready') return Promise.resolve()
  return new Promise((resolve) => {
    client.once('ready', () => resolve())
  })
}
