/** The configuration as this process' limit of descriptors lets it be kept, and how many connections of other kinds there may be. */
import type { Config } from '../config/config.ts'
import { MOST_CONNECTIONS } from '../http/server.ts'
import type { Log } from '../observe/log.ts'
import { descriptorLimit, DISCOVERIES, LOOKUPS, shareDescriptors, type Shares } from './descriptors.ts'

/** `door` and what follows it do not depend on the configuration: they stay what they were at the start. */
export interface Fitting extends Pick<Shares, 'door' | 'lookups' | 'discoveries'> {
  readonly config: Config
}

export function withinDescriptors(config: Config, { sends, log }: { sends: boolean; log: Log }): Fitting {
  const { federation } = config
  const { max_concurrency, max_idle_connections, recovering_concurrency } = federation
  const wished = {
    ...{ door: MOST_CONNECTIONS, concurrency: max_concurrency, idle: max_idle_connections },
    ...{ lookups: LOOKUPS, discoveries: DISCOVERIES },
  }
  const limit = descriptorLimit()
  const { door, concurrency, idle, lookups, discoveries } = shareDescriptors(limit, wished, { sends })
  if (sends && (concurrency < max_concurrency || idle < max_idle_connections))
    log.warn(
      { limit, max_concurrency: concurrency, max_idle_connections: idle, connections: door },
      'the limit of open files is low, so limpet uses fewer requests and idle connections than configured; raise it (ulimit -n, LimitNOFILE)',
    )
  const fitting = {
    max_concurrency: concurrency,
    max_idle_connections: idle,
    recovering_concurrency: Math.min(recovering_concurrency, concurrency),
  }
  return { config: { ...config, federation: { ...federation, ...fitting } }, door, lookups, discoveries }
}
