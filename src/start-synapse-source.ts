/**
 * Starts `sources.synapse` in this process: Synapse's database and Redis in, items out through `append`.
 */
import { makeSubscriber } from '../queues/subscribe.ts'
import type { Clock } from './clock.ts'
import type { Config, SynapseSettings } from './config.ts'
import type { Append } from './ingest/append.ts'
import { parseItem } from './ingest/parse-item.ts'
import { SynapseRefused } from './ingest/synapse/refused.ts'
import { makeSynapseSource } from './ingest/synapse/source.ts'
import type { Log } from './observe/log.ts'
import { openPool, type Pool } from './store/db.ts'
import { UnfitDatabaseError } from './store/fitness.ts'
import { refusePooling } from './store/pooling.ts'
import { sourcePosition } from './store/read-back.ts'
import { toldAmong, toldRooms } from './store/told-rooms.ts'

export interface SourceNeeds {
  config: Config
  settings: SynapseSettings
  /** limpet's own database. */
  pool: Pool
  append: Append
  clock: Clock
  log: Log
  /** Told when this Synapse must not be read at all. */
  fail: (error: unknown) => void
}

/** Connections to Synapse's database. */
const POOL_SIZE = 4

export function startSynapseSource(needs: SourceNeeds): { stop(): Promise<void> } {
  const { config, settings, pool, append, clock, log, fail } = needs
  const stopping = new AbortController()
  const onError = (error: Error) => log.warn({ err: error }, "a connection to Synapse's database broke")
  const synapse = openPool({ url: settings.database, max: POOL_SIZE, onError })
  const source = makeSynapseSource({
    pool: synapse,
    serverName: config.server_name,
    append,
    tokenOf: async (name) => (await sourcePosition(pool, name)).sourceToken,
    parseItem: (raw) =>
      parseItem(raw, 0, { serverName: config.server_name, stickyFieldNames: config.sticky.field_names }),
    subscribe: settings.redis === null ? undefined : makeSubscriber({ url: settings.redis, log }),
    purges: {
      told: {
        page: (after, limit) => toldRooms(pool, { after, limit }),
        among: (roomIds) => toldAmong(pool, roomIds),
      },
    },
    clock,
    log,
  })
  log.info('sources.synapse: EDUs, take-over and hand-back come in a later release')
  const running = refusePooling({ url: settings.database, clock, nonce: null })
    .catch((error: unknown) => {
      // One that is away is waited for.
      if (error instanceof UnfitDatabaseError && !error.passing)
        throw new SynapseRefused(error.message, { cause: error })
    })
    .then(() => source.run(stopping.signal))
    .catch(fail)
  return {
    stop: async () => {
      stopping.abort()
      await running
      await synapse.end()
    },
  }
}
