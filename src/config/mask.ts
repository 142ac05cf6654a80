/** The configuration as it may be shown: every effective value with secrets masked, and keys as in the file. */
import { showDnsServer } from '../allow/dns-server.ts'
import type { Config } from './config.ts'
import type { NamedToken } from './secrets.ts'
import { maskUrls } from '../observe/secrets.ts'

const MASK = '***'

export function maskedConfig(config: Config): Record<string, unknown> {
  const { database, queue, tokens, metrics, federation, sources, listen } = config
  return withoutUndefined({
    ...config,
    file: undefined,
    internal: undefined,
    database: database.kind === 'url' ? maskUrls(database.url) : 'embedded',
    queue: queue.kind === 'redis' ? queue.urls.map(maskUrls).join(',') : 'postgres',
    listen: listen.map((one) => ('socket' in one ? { ...one, mode: `0${one.mode.toString(8)}` } : one)),
    tokens: {
      ingest: maskTokens(tokens.ingest),
      read: maskTokens(tokens.read),
      admin: maskTokens(tokens.admin),
    },
    federation: {
      ...federation,
      dns_servers:
        federation.dns_servers?.map(({ address, port }) =>
          showDnsServer({ address, port: port ?? 53 }, 53),
        ) ?? null,
      proxy: federation.proxy?.label ?? null,
    },
    metrics: { ...metrics, token: metrics.token === null ? null : MASK },
    sources: {
      synapse:
        sources.synapse === null
          ? 'off'
          : {
              ...sources.synapse,
              database: maskUrls(sources.synapse.database),
              redis: sources.synapse.redis === null ? null : maskUrls(sources.synapse.redis),
            },
    },
  })
}

function maskTokens(tokens: readonly NamedToken[]): Record<string, string> | string {
  if (tokens.length === 0) return 'generated at the first start'
  return Object.fromEntries(tokens.map(({ name }) => [name, MASK]))
}

function withoutUndefined(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}
