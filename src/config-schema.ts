/**
 * Every setting limpet has: name, type, default, meaning. The one place for all four (contract, section 2).
 *
 * Keys are spelled as in the file, so that one search finds a setting everywhere. Units are in the names. Nothing
 * here reads a file; what combines several keys is in `config.ts`.
 */
import { z } from 'zod'
import {
  DAY,
  MINUTE,
  age,
  databaseSetting,
  ipRange,
  listen,
  ms,
  path,
  postgresUrl,
  queueSetting,
  redisUrl,
  section,
  serverName,
  token,
  tokens,
  whole,
} from './config-values.ts'

export const settingsSchema = z.strictObject({
  server_name: serverName.describe('Ours, as in user ids. The database is bound to it.'),
  signing_key_path: path
    .optional()
    .describe(
      "The homeserver's key file: `ed25519 VERSION BASE64SEED` a line. Default: DATA_DIR/SERVER_NAME.signing.key",
    ),
  data_dir: path.default('./limpet-data').describe('Where the embedded database and generated secrets live.'),
  database: databaseSetting.prefault('embedded').describe('`embedded`, or a postgres:// URL.'),
  database_path: path.optional().describe('A file that holds the value of `database`.'),
  auto_migrate: z.boolean().default(true).describe('Whether `run` brings the database to its own version.'),
  queue: queueSetting
    .prefault('postgres')
    .describe(
      '`postgres` (in the same database), or a redis:// or rediss:// URL, of a Redis Cluster several, comma-separated.',
    ),
  queue_path: path.optional().describe('A file that holds the value of `queue`.'),
  listen: listen
    .prefault({ host: '127.0.0.1', port: 8469 })
    .describe(
      'One or a list of {host, port} or {socket, mode: "0660"}, each with serve: [ingest, admin, metrics].',
    ),
  tokens: section({
    ingest: tokens
      .optional()
      .describe(
        'May ingest, and no more. One token or a map NAME: token. Default: generated into DATA_DIR/tokens.yaml',
      ),
    ingest_path: path.optional().describe('A file that holds it.'),
    read: tokens.optional().describe('May see, and no more.'),
    read_path: path.optional().describe('A file that holds it.'),
    admin: tokens.optional().describe('May see and act; may not ingest.'),
    admin_path: path.optional().describe('A file that holds it.'),
  }).describe('Bearer tokens; the name is what actions are recorded under.'),
  metrics: section({
    token: token.optional().describe('What /metrics asks for. Default: nothing.'),
    token_path: path.optional().describe('A file that holds it.'),
    per_destination: z.boolean().default(false).describe("Whether labels hold destinations' names."),
  }).describe('Prometheus.'),
  federation: section({
    ip_denylist: z
      .array(ipRange)
      .optional()
      .describe(
        'Accepted, and in force from a later release: private, loopback, link-local, multicast, reserved ranges.',
      ),
    ip_allowlist: z
      .array(ipRange)
      .default([])
      .describe('Accepted, and in force from a later release: wins over the deny list.'),
    custom_ca_paths: z.array(path).default([]).describe("PEM files, beside Node's roots and the system's."),
    max_idle_connections: whole(0).default(1000).describe('Of one process.'),
    max_concurrency: whole(1).default(512).describe('Requests in flight in one process.'),
    recovering_concurrency: whole(1)
      .optional()
      .describe(
        'Of those, at most so many to destinations that fail, are slow or never answered. Default: half, 256.',
      ),
    connect_timeout_ms: ms(1, 300_000).default(10_000).describe('One attempt to connect.'),
    request_timeout_ms: ms(1, 300_000)
      .default(60_000)
      .describe('One attempt as a whole; after a time-out the next may take twice as long, up to 300 s.'),
    backoff: section({
      first_ms: ms(1).default(5000).describe('After the first failure.'),
      multiplier: z.number().min(1).max(1000).default(2).describe('Each wait against the one before.'),
      max_ms: ms(1).default(28_800_000).describe('No wait is longer.'),
      jitter: z
        .number()
        .min(0)
        .max(0.99)
        .default(0.2)
        .describe('Each wait is multiplied by a random 1 ± jitter.'),
    }).describe('Waits between attempts; kept in the database.'),
    max_pdus: whole(1, 50).default(50).describe('PDUs in a transaction; the specification allows 50.'),
    max_edus: whole(0, 100).default(100).describe('EDUs in a transaction; the specification allows 100.'),
    // One PDU of the largest size must fit, else it could never be sent.
    max_body_bytes: whole(70_000).default(4_194_304).describe('Bytes of a transaction.'),
  }).describe('Sending.'),
  memory: section({
    // Half of it is left to destinations that answer well, and a PDU of the largest size must fit into that.
    bodies_bytes: whole(1_000_000)
      .optional()
      .describe(
        "Bytes of transactions that one process holds at once; others wait. Default: a quarter of Node's heap limit.",
      ),
  }).describe('What one process holds in memory.'),
  catch_up: section({
    threshold_pdus: whole(0).default(500).describe('A backlog up to this is sent whole.'),
    min_age_ms: age(0)
      .default(5 * MINUTE)
      .describe('A backlog younger than this is sent whole.'),
  }).describe('When a destination that fell behind gets the newest of each room first.'),
  sticky: section({
    max_duration_ms: ms(0, 60 * MINUTE)
      .default(60 * MINUTE)
      .describe("The cap of MSC4354, which a setting can't exceed."),
    field_names: z
      .array(z.string().min(1))
      .min(1)
      .default(['msc4354_sticky', 'sticky'])
      .describe('Where a PDU says that it is sticky.'),
  }).describe('Sticky events (MSC4354).'),
  sweep_interval_ms: ms(50)
    .default(30_000)
    .describe('How often destinations that were missed are looked for.'),
  retention: section({
    events_ms: age(1)
      .default(7 * DAY)
      .describe('How long the log is kept; at least 2 x sticky.max_duration_ms.'),
    event_ids_ms: age(1)
      .default(30 * DAY)
      .describe('How long duplicates are known.'),
    attempts_ms: age(1)
      .default(DAY)
      .describe('How long attempts (newest 100 a destination) and closed gaps are kept.'),
    newest_event_ms: age(1)
      .default(90 * DAY)
      .describe("How long a room's newest event is kept for those who lag."),
  }).describe('How long what is kept.'),
  shutdown_grace_ms: ms(0, 60 * MINUTE)
    .default(10_000)
    .describe('How long requests in flight may take to end.'),
  log: section({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('info')
      .describe('The least that is logged.'),
    pretty: z
      .union([z.boolean(), z.literal('auto')], 'must be true, false or auto')
      .default('auto')
      .describe('Readable lines; auto: on a terminal.'),
  }).describe('JSON lines on standard output.'),
  sources: section({
    synapse: z
      .strictObject({
        database: postgresUrl.optional().describe("Synapse's database."),
        database_path: path.optional().describe('A file that holds it.'),
        redis: redisUrl
          .optional()
          .describe(
            "Synapse's Redis, for promptness; without it Synapse's stream is looked at every second.",
          ),
        redis_path: path.optional().describe('A file that holds it.'),
        instance_name: z.string().min(1).default('limpet').describe('Our name among the federation senders.'),
      })
      .optional()
      .describe('Makes the daemon a federation sender of a Synapse. Default: off.'),
  }).describe('Where events come from beside the ingest API.'),
  internal: section({
    lease_ms: ms(100).default(15_000).describe('How long a destination stays with a process that was lost.'),
    linger_ms: ms(0)
      .default(2_000)
      .describe('How long a destination is followed after its last transaction; 0: not at all.'),
    stalled_ms: ms(100).default(5000).describe('How long until the queue takes a job for stalled.'),
  }).describe('For tests. May change without notice.'),
})

/** Keys that the contract names and a later release brings: refused, with a reason that says so. */
export const LATER = new Set([
  'federation.domain_allowlist',
  'federation.domain_denylist',
  'federation.insecure_domains',
  'federation.proxy',
  'federation.no_proxy',
  'federation.long_outage_ms',
  'federation.dead_after_ms',
  'federation.ramp_per_second',
  'federation.contact',
  'sticky.deadline_retries',
  'sticky.deadline_retry_min_ms',
  'retention.durable_edus_ms',
  'admin',
])

export type Settings = z.output<typeof settingsSchema>

/** The setting at `path`, with whatever is wrapped around it; null: there is none. */
export function settingAt(path: readonly string[]): z.core.$ZodType | null {
  return path.reduce<z.core.$ZodType | null>((at, key) => childOf(at, key), settingsSchema)
}

/** Whether `path` is a section: one with keys of its own, that may be empty. */
export function isSection(path: readonly string[]): boolean {
  const setting = settingAt(path)
  return setting instanceof z.ZodPrefault && setting.def.innerType instanceof z.ZodObject
}

function childOf(schema: z.core.$ZodType | null, key: string): z.core.$ZodType | null {
  if (schema instanceof z.ZodObject) return (schema.shape as Record<string, z.core.$ZodType>)[key] ?? null
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault || schema instanceof z.ZodOptional)
    return childOf(schema.def.innerType, key)
  return null
}
