/**
 * `limpet check-config`: prints the effective values, then checks everything that `run` needs: key file, tokens,
 * database, queue, and a source's database and Redis. With `--online` also the key that our homeserver publishes.
 *
 * It checks all of them and ends with the first error. It changes nothing: an embedded database that does not exist
 * yet is not created.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Config, SynapseSettings } from '../config/config.ts'
import { ConfigError } from '../config/config.ts'
import { complainOfOpenFile } from '../config/exposed.ts'
import { loadSigningKey, readAuthorities, refuseOpenTlsKeys } from '../config/files.ts'
import { isOpenDataDir } from '../config/folder.ts'
import { maskedConfig } from '../config/mask.ts'
import { weakenedBy } from '../config/weakened.ts'
import { TOKEN_KINDS, refuseUnwritable } from '../config/secrets.ts'
import { checkSynapse } from '../ingest/synapse/check.ts'
import { severalServers } from '../ingest/synapse/refused.ts'
import { selfTest } from '../matrix/signing.ts'
import type { Log } from '../observe/log.ts'
import { maskUrls } from '../observe/secrets.ts'
import { connectionsOf } from '../daemon/open-stores.ts'
import { SYNAPSE_CONNECTIONS as SOURCE_CONNECTIONS } from '../daemon/start-synapse-source.ts'
import type { Pool } from '../store/db.ts'
import { boundServerName } from '../store/ingest/bound-server-name.ts'
import { isOfLimpet01, nameRoom, refuseOtherVersion } from '../embedded/cluster.ts'
import { findProgram } from '../embedded/program.ts'
import { refuseUnfit, UnfitDatabaseError } from '../store/fitness.ts'
import { SchemaError, checkSchema } from '../store/migrate.ts'
import { hasSeveralServers } from '../store/one-server.ts'
import { narrowRoom, type ConnectionCount } from '../store/pool-room.ts'
import { openBackend } from '../../queues/open-backend.ts'
import { SCHEMA } from '../../queues/postgres-connection.ts'
import { QueueError } from '../../queues/queue-error.ts'
import { checkSubscribe } from '../../queues/subscribe.ts'
import { CommandError, UncheckedError, lineOf } from './cli-error.ts'
import type { Io } from './io.ts'
import { withProgress } from './progress.ts'
import { isUsed, withDatabase, withDatabaseAt } from './with-database.ts'

export async function runCheckConfig({
  config,
  log,
  io,
  online,
}: {
  config: Config
  log: Log
  io: Io
  /** Asks other machines too: our homeserver, as other servers do. */
  online: boolean
}): Promise<void> {
  io.stdout.write(`# ${config.file ?? 'no configuration file'}\n${stringify(maskedConfig(config))}\n`)
  for (const line of weakenedBy(io.env, process.execArgv)) io.stdout.write(`environment: ${line}\n`)
  let first: unknown
  const check = async (name: string, look: () => string | Promise<string>) => {
    try {
      const found = await withProgress(io.stderr, `checking the ${name}`, Promise.resolve().then(look))
      io.stdout.write(`${name}: ${found}\n`)
    } catch (error) {
      io.stdout.write(`${name}: ${error instanceof UncheckedError ? 'could not be checked' : 'wrong'}\n`)
      first ??= error
      if (first !== error) io.stdout.write(`  ${lineOf(error)}\n`)
    }
  }
  await check('configuration file', () => checkFile(config))
  await check('signing key', () => checkKey(config))
  if (config.federation.custom_ca_paths.length > 0)
    await check('custom CAs', () => `ok, ${readAuthorities(config).length}`)
  await check('tokens', () => checkTokens(config))
  await check('database', () => checkDatabase(config, log))
  if (config.queue.kind === 'redis') await check('queue', () => checkRedis(config, log))
  const { synapse } = config.sources
  if (synapse !== null) {
    await check("source's database", () => checkSourceDatabase(config, synapse))
    if (synapse.redis !== null) await check("source's Redis", () => checkSourceRedis(config, synapse))
  }
  if (online) await check('published key', () => askOnline(config, log, io))
  if (first !== undefined) throw first as Error
}

// Loaded where it is asked for alone: discovery and TLS are most of the daemon.
async function askOnline(config: Config, log: Log, { network }: Io): Promise<string> {
  const { checkOnline } = await import('./check-online.ts')
  return checkOnline(config, log, network)
}

function checkFile(config: Config): string {
  const exposed = complainOfOpenFile(config.file)
  if (exposed !== null) throw new ConfigError(null, exposed)
  refuseOpenTlsKeys(config)
  if (!existsSync(config.data_dir) || !isOpenDataDir(config.data_dir)) return 'ok'
  return 'ok; data_dir is open to other users, `run` closes it'
}

function checkKey(config: Config): string {
  const key = loadSigningKey(config.signing_key_path)
  if (!selfTest(key))
    throw new ConfigError(
      'signing_key_path',
      'a signature made with this key does not verify: this machine computes wrongly',
    )
  return `ok, signs as ${key.keyId}, public key ${key.publicKey}`
}

function checkTokens(config: Config): string {
  const missing = TOKEN_KINDS.filter((kind) => config.tokens[kind].length === 0)
  if (missing.length === 0) return 'ok'
  refuseUnwritable(config.data_dir)
  return `ok; the first start creates ${missing.join(', ')}`
}

async function checkDatabase(config: Config, log: Log): Promise<string> {
  if (config.database.kind === 'embedded' && !existsSync(join(config.data_dir, 'postgres', 'data'))) {
    refuseUnwritable(config.data_dir)
    return 'ok, embedded; the first start creates it'
  }
  if (config.database.kind === 'embedded' && isOfLimpet01(nameRoom(config.data_dir))) {
    refuseOtherVersion(nameRoom(config.data_dir), findProgram())
    // To look into it would mean to start it, and so to change it in a way that the old release can't go on with.
    if (!isUsed(config.data_dir)) return 'ok, embedded, made by limpet 0.1; `run` migrates it to this version'
  }
  const found = await withDatabase(config, log, async ({ pool, url }) => {
    const queueSchema = config.queue.kind === 'postgres' ? SCHEMA : null
    await refuseUnfit(pool, { queueSchema, migrating: config.auto_migrate })
    const ours = await checkOurs(config, pool)
    return config.queue.kind === 'postgres' ? `${ours}; ${await checkQueueSchema(config, url, log)}` : ours
  })
  // Asked when nothing else of ours is open there.
  return config.database.kind === 'url' ? withRoom(found, config.database.url, connectionsOf(config)) : found
}

/** @throws UnfitDatabaseError where a pooler gives too few connections to get on at all */
async function withRoom(
  found: string,
  url: string,
  connections: ConnectionCount,
  named?: string,
): Promise<string> {
  const narrow = await narrowRoom(url, connections, named)
  if (narrow?.tooFew === true) throw new UnfitDatabaseError(narrow.complaint, { passing: true })
  return narrow === null ? found : `${found}; but ${narrow.complaint}`
}

async function checkOurs(config: Config, pool: Pool): Promise<string> {
  const complaint = await checkSchema(pool)
  // What `run` or `migrate` mends is not an error; a schema that this version doesn't know is one.
  if (config.auto_migrate && complaint?.includes('limpet migrate'))
    return 'ok, `run` migrates it to this version'
  if (complaint !== null) throw new SchemaError(complaint)
  const bound = await boundServerName(pool)
  if (bound !== null && bound !== config.server_name)
    throw new SchemaError(
      `the database belongs to server_name ${bound}, but the configuration says ${config.server_name}`,
    )
  return 'ok'
}

async function checkQueueSchema(config: Config, url: string, log: Log): Promise<string> {
  const backend = await openBackend({ kind: 'postgres', url }, { log })
  try {
    await backend.checkSettings()
    return "the queue's schema ok"
  } catch (error) {
    if (config.auto_migrate && error instanceof QueueError && error.code === 'schema')
      return "`run` migrates the queue's schema too"
    throw error
  } finally {
    await backend.close()
  }
}

async function checkRedis(config: Config, log: Log): Promise<string> {
  if (config.queue.kind !== 'redis') throw new CommandError('the queue is not in Redis')
  const backend = await openBackend({ kind: 'redis', urls: config.queue.urls }, { log })
  try {
    await backend.ping()
    await backend.checkSettings()
    return 'ok'
  } finally {
    await backend.close()
  }
}

async function checkSourceDatabase(config: Config, { database }: SynapseSettings): Promise<string> {
  const named = "Synapse's database"
  // A standby of Synapse's will do: nothing is written there.
  await withDatabaseAt(database, { named, mayBeStandby: true }, ({ pool }) =>
    checkSynapse(pool, config.server_name),
  )
  if (await hasSeveralServers(database)) throw severalServers()
  return withRoom('ok', database, SOURCE_CONNECTIONS, named)
}

async function checkSourceRedis(config: Config, { redis }: SynapseSettings): Promise<string> {
  if (redis === null) return 'none'
  try {
    // Synapse's channel is its server name.
    await checkSubscribe(redis, config.server_name)
  } catch (error) {
    throw new CommandError(
      `Synapse's Redis at ${maskUrls(redis)} can't be used: ${(error as Error).message}`,
      {
        cause: error,
      },
    )
  }
  return 'ok'
}
