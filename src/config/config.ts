/**
 * The configuration: defaults, then a YAML file, then the environment, checked as a whole at the start.
 *
 * Promise: a `Config` contains only possible values, absolute paths, and no `…_path` of a secret any more. Every error
 * is a `ConfigError` of one line that names the key. Relative paths are relative to the configuration file's folder
 * (without a file: to the working directory), so that every command finds the same data wherever it is started.
 */
import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import type { DnsServerAddress } from '../allow/dns-server.ts'
import type { Proxy } from '../allow/proxy-url.ts'
import { isTree, overrideFromEnvironment } from './env.ts'
import type { Environment, Tree } from './env.ts'
import { ConfigError } from './error.ts'
import { explainIssues, refuseEmptyAndLater } from './issues.ts'
import { noteSecrets } from './known-secrets.ts'
import { settingsSchema } from './schema.ts'
import type { Settings } from './schema.ts'
import { TOKEN_KINDS, generateTokens, readGeneratedTokens, readSecretFiles, readTextFile } from './secrets.ts'
import type { NamedToken, TokenKind, Tokens } from './secrets.ts'
import { parseSettings } from './yaml.ts'
import { makeSecrets, type Secrets } from '../observe/secrets.ts'

export { ConfigError } from './error.ts'
export type { NamedToken, TokenKind, Tokens } from './secrets.ts'
export type { Listener, Served } from './values.ts'

type Plain = Omit<
  Settings,
  | 'signing_key_path'
  | 'database_path'
  | 'queue_path'
  | 'tokens'
  | 'metrics'
  | 'federation'
  | 'memory'
  | 'sources'
>
export interface Config extends Plain {
  /** Absolute; null: no file, all from the environment. */
  readonly file: string | null
  readonly signing_key_path: string
  readonly tokens: Tokens
  readonly metrics: { readonly token: string | null; readonly per_destination: boolean }
  readonly federation: Omit<
    Settings['federation'],
    'recovering_concurrency' | 'domain_allowlist' | 'dns_servers' | 'proxy'
  > & {
    recovering_concurrency: number
    /** Null: every server. */
    domain_allowlist: readonly string[] | null
    /** Null: those of `resolv.conf`. */
    dns_servers: readonly DnsServerAddress[] | null
    /** Holds a secret. */
    proxy: Proxy | null
  }
  readonly memory: { readonly bodies_bytes: number }
  readonly sources: { readonly synapse: SynapseSettings | null }
}
export interface SynapseSettings {
  readonly database: string
  /** Null: its stream is only polled. */
  readonly redis: string | null
  readonly instance_name: string
}

export interface LoadOptions {
  file?: string | undefined
  env?: Environment
  cwd?: string
  /** Is told every secret before anything can fail over it. */
  secrets?: Secrets | undefined
}

/**
 * Reads the configuration. Changes nothing on disk: tokens that no one has generated yet are missing (see `withTokens`).
 * `file`: else `limpet.yaml` in `cwd`, where it exists.
 */
export function loadConfig({
  file,
  env = process.env,
  cwd = process.cwd(),
  secrets = makeSecrets(),
}: LoadOptions = {}): Config {
  const asked = resolve(cwd, file ?? 'limpet.yaml')
  const used = file !== undefined || existsSync(asked) ? asked : null
  const tree = used === null ? {} : readTree(used)
  const variables = overrideFromEnvironment(tree, env)
  const folder = used === null ? cwd : dirname(used)
  noteSecrets(tree, env, secrets)
  refuseEmptyAndLater(tree)
  readSecretFiles(tree, folder)
  noteSecrets(tree, env, secrets)
  const parsed = settingsSchema.safeParse(tree)
  if (!parsed.success && used === null && tree['server_name'] === undefined) {
    const hint = 'create one with `limpet init`, or name one with --config'
    throw new ConfigError('server_name', `is missing, and there is no limpet.yaml in ${cwd}: ${hint}`)
  }
  if (!parsed.success) throw explainIssues(parsed.error, tree, variables)
  const config = settle(parsed.data, used, folder)
  for (const kind of TOKEN_KINDS) for (const { token } of config.tokens[kind]) secrets.add(token)
  return config
}

/** `config` with every kind of token: what is not configured is generated into `data_dir/tokens.yaml`. */
export function withTokens(config: Config, randomBytes: (size: number) => Uint8Array): Config {
  const missing = TOKEN_KINDS.filter((kind) => config.tokens[kind].length === 0)
  if (missing.length === 0) return config
  return {
    ...config,
    tokens: addGenerated(config.tokens, generateTokens(config.data_dir, missing, randomBytes)),
  }
}

function readTree(file: string): Tree {
  const tree = parseSettings(readTextFile(file, null), (what) => new ConfigError(null, `${file}: ${what}`))
  if (tree === null) return {}
  if (!isTree(tree)) throw new ConfigError(null, `${file}: must be a map of settings`)
  return tree
}

function settle(settings: Settings, file: string | null, folder: string): Config {
  const { signing_key_path, tokens, metrics, federation, memory, sources, ...plain } = settings
  const data_dir = resolve(folder, plain.data_dir)
  const { ingest, read, admin } = tokens
  const named = {
    ingest: nameTokens('ingest', ingest),
    read: nameTokens('read', read),
    admin: nameTokens('admin', admin),
  }
  const config: Config = {
    ...plain,
    file,
    data_dir,
    signing_key_path: resolve(folder, signing_key_path ?? join(data_dir, `${plain.server_name}.signing.key`)),
    listen: plain.listen.map((one) =>
      'socket' in one ? { ...one, socket: resolve(folder, one.socket) } : one,
    ),
    tokens: addGenerated(named, readGeneratedTokens(data_dir)),
    metrics: { token: metrics.token ?? null, per_destination: metrics.per_destination },
    federation: {
      ...federation,
      domain_allowlist: federation.domain_allowlist ?? null,
      dns_servers: federation.dns_servers ?? null,
      proxy: federation.proxy ?? null,
      custom_ca_paths: federation.custom_ca_paths.map((path) => resolve(folder, path)),
      // Half, so that dead destinations can never have every place.
      recovering_concurrency: federation.recovering_concurrency ?? Math.ceil(federation.max_concurrency / 2),
    },
    memory: { bodies_bytes: memory.bodies_bytes ?? Math.floor(getHeapStatistics().heap_size_limit / 4) },
    sources: { synapse: settleSynapse(sources.synapse) },
  }
  refuseContradictions(config)
  return config
}

function settleSynapse(synapse: Settings['sources']['synapse']): SynapseSettings | null {
  if (synapse === undefined) return null
  const { database, redis, instance_name } = synapse
  if (database === undefined) throw new ConfigError('sources.synapse.database', 'is missing')
  return { database, redis: redis ?? null, instance_name }
}

function nameTokens(kind: TokenKind, setting: string | Record<string, string> | undefined): NamedToken[] {
  if (setting === undefined) return []
  if (typeof setting === 'string') return [{ name: kind, token: setting }]
  return Object.entries(setting).map(([name, token]) => ({ name, token }))
}

function addGenerated(tokens: Tokens, generated: Partial<Record<TokenKind, string>>): Tokens {
  const all = (kind: TokenKind): readonly NamedToken[] =>
    tokens[kind].length > 0 ? tokens[kind] : nameTokens(kind, generated[kind])
  return { ingest: all('ingest'), read: all('read'), admin: all('admin') }
}

/** What each value alone does not show. */
function refuseContradictions({ federation, retention, sticky, tokens, listen }: Config): void {
  if (federation.recovering_concurrency > federation.max_concurrency)
    throw new ConfigError('federation.recovering_concurrency', 'must be at most federation.max_concurrency')
  if (federation.backoff.first_ms > federation.backoff.max_ms)
    throw new ConfigError('federation.backoff.first_ms', 'must be at most federation.backoff.max_ms')
  if (retention.events_ms < 2 * sticky.max_duration_ms)
    throw new ConfigError(
      'retention.events_ms',
      `must be at least 2 x sticky.max_duration_ms, which is ${2 * sticky.max_duration_ms}`,
    )
  const seen = new Map<string, string>()
  for (const kind of TOKEN_KINDS)
    for (const { name, token } of tokens[kind]) {
      const key = `tokens.${kind}`
      const other = seen.get(token)
      if (other !== undefined)
        throw new ConfigError(key, `${name}: the same token is also listed under ${other}`)
      seen.set(token, key)
    }
  const places = listen.map((one) => ('socket' in one ? one.socket : `${one.host}:${one.port}`))
  const twice = places.find((place, index) => !place.endsWith(':0') && places.indexOf(place) !== index)
  if (twice !== undefined) throw new ConfigError('listen', `${twice} is listed twice`)
}
