/**
 * Every setting of limpet: name, type, default and meaning. This is the one place for all four (contract, section 2).
 *
 * Keys are spelled as in the file, so that one search finds a setting everywhere, and units are in the names. Nothing
 * here reads a file. Checks that combine several keys are in `config.ts`.
 */
import { z } from 'zod'
import {
  DAY,
  MINUTE,
  age,
  databaseSetting,
  dnsServer,
  domainGlob,
  insecureDomain,
  ipRange,
  listen,
  ms,
  noProxy,
  path,
  postgresUrl,
  proxy,
  queueSetting,
  redisUrl,
  section,
  serverName,
  token,
  tokens,
  whole,
} from './values.ts'

export const settingsSchema = z.strictObject({
  server_name: serverName.describe("The homeserver's name, as in user ids. The database is bound to it."),
  signing_key_path: path
    .optional()
    .describe(
      "The homeserver's signing key file, with lines `ed25519 VERSION BASE64SEED`; the first key signs. Default: DATA_DIR/SERVER_NAME.signing.key",
    ),
  data_dir: path
    .default('./limpet-data')
    .describe('The folder for the embedded database and generated secrets.'),
  database: databaseSetting.prefault('embedded').describe('`embedded`, or a postgres:// URL.'),
  database_path: path.optional().describe('A file that contains the value of `database`.'),
  auto_migrate: z.boolean().default(true).describe('Whether `run` migrates the database to its own version.'),
  queue: queueSetting
    .prefault('postgres')
    .describe(
      '`postgres` (in the same database), or a redis:// or rediss:// URL (several, separated by commas, for a Redis Cluster).',
    ),
  queue_path: path.optional().describe('A file that contains the value of `queue`.'),
  listen: listen
    .prefault({ host: '127.0.0.1', port: 8469 })
    .describe(
      'One listener or a list of them: {host, port} or {socket, mode: "0660"}, each with serve: [ingest, admin, metrics] (default: all).',
    ),
  tokens: section({
    ingest: tokens
      .optional()
      .describe(
        'For the ingest API only. One token, or a map of names to tokens. Default: generated into DATA_DIR/tokens.yaml',
      ),
    ingest_path: path.optional().describe('A file that contains it.'),
    read: tokens.optional().describe('For reading the admin API; changes nothing.'),
    read_path: path.optional().describe('A file that contains it.'),
    admin: tokens.optional().describe('For reading and acting through the admin API; not for ingest.'),
    admin_path: path.optional().describe('A file that contains it.'),
  }).describe("Bearer tokens. Actions are recorded under a token's name."),
  metrics: section({
    token: token.optional().describe('The token that /metrics requires. Default: none is needed.'),
    token_path: path.optional().describe('A file that contains it.'),
    per_destination: z
      .boolean()
      .default(false)
      .describe("Whether metrics have labels with destinations' names."),
  }).describe('Prometheus.'),
  federation: section({
    domain_allowlist: z
      .array(domainGlob)
      .optional()
      .describe('Globs such as `*.example.org`: nothing is sent to any other server. Default: every server.'),
    domain_denylist: z
      .array(domainGlob)
      .default([])
      .describe('Globs: nothing is sent to these. Wins over the allow list.'),
    ip_denylist: z
      .array(ipRange)
      .optional()
      .describe(
        'Addresses that are not connected to. Default: private, loopback, link-local, multicast and reserved ranges.',
      ),
    ip_allowlist: z.array(ipRange).default([]).describe('Addresses that are. Wins over the deny list.'),
    dns_servers: z
      .array(dnsServer)
      .min(1)
      .optional()
      .describe('DNS servers to ask, `ADDRESS` or `ADDRESS:PORT`. Default: those of /etc/resolv.conf.'),
    insecure_domains: z
      .array(insecureDomain)
      .default([])
      .describe('Globs and address ranges whose certificates are not verified. For tests only.'),
    proxy: proxy
      .optional()
      .describe('An http:// or https:// proxy that connects (CONNECT) to other servers. Default: none.'),
    proxy_path: path.optional().describe('A file that contains it.'),
    no_proxy: z
      .array(noProxy)
      .default([])
      .describe('Names, addresses and ranges that are connected to without the proxy.'),
    custom_ca_paths: z
      .array(path)
      .default([])
      .describe("PEM files with further certificate authorities, besides Node's and the system's."),
    max_idle_connections: whole(0)
      .default(1000)
      .describe('Idle connections that one process keeps, at most.'),
    max_concurrency: whole(1).default(512).describe('Requests in flight in one process, at most.'),
    recovering_concurrency: whole(1)
      .optional()
      .describe(
        'How many of these may go to destinations that fail, are slow or have never answered. Default: half of them, 256.',
      ),
    ramp_per_second: whole(1)
      .default(50)
      .describe(
        'How many destinations that are due one process wakes a second: after a start, or an outage of ours, all are.',
      ),
    connect_timeout_ms: ms(1, 300_000).default(10_000).describe('Time limit of one attempt to connect.'),
    request_timeout_ms: ms(1, 300_000)
      .default(60_000)
      .describe(
        'Time limit of a whole attempt; after a time-out the next attempt may take twice as long, up to 300 s.',
      ),
    backoff: section({
      first_ms: ms(1).default(5000).describe('The wait after the first failure.'),
      multiplier: z
        .number()
        .min(1)
        .max(1000)
        .default(2)
        .describe('Each wait is this many times the one before.'),
      max_ms: ms(1).default(28_800_000).describe('The longest wait.'),
      jitter: z
        .number()
        .min(0)
        .max(0.99)
        .default(0.2)
        .describe('Each wait is multiplied by a random 1 ± jitter.'),
    }).describe('Waits between attempts to a failing destination. They are kept in the database.'),
    long_outage_ms: age(0)
      .default(60 * MINUTE)
      .describe('One that has failed for longer is not tried for sticky events before its wait is over.'),
    dead_after_ms: age(1)
      .default(30 * DAY)
      .describe(
        'A destination that has failed for longer is dead: it is tried once a week, and when it seems to be up.',
      ),
    max_pdus: whole(1, 50)
      .default(50)
      .describe('PDUs in a transaction, at most; the specification allows 50.'),
    max_edus: whole(1, 100)
      .default(100)
      .describe('EDUs in a transaction, at most; the specification allows 100.'),
    // One PDU of the largest size must fit, else it could never be sent.
    max_body_bytes: whole(70_000).default(4_194_304).describe('Bytes in a transaction, at most.'),
    edus: section({
      presence: z.boolean().default(true).describe('Who is online.'),
      typing: z.boolean().default(true).describe('Who is typing.'),
      receipts: z.boolean().default(true).describe('Who has read up to where.'),
    }).describe(
      'Kinds of EDUs that are sent. What comes while one is off is passed over, and not sent later.',
    ),
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
    threshold_pdus: whole(0).default(500).describe('A backlog of up to this many PDUs is sent in full.'),
    min_age_ms: age(0)
      .default(5 * MINUTE)
      .describe('A backlog younger than this is sent in full.'),
  }).describe('How far a destination must have fallen behind to get only the newest event of each room.'),
  sticky: section({
    max_duration_ms: ms(0, 60 * MINUTE)
      .default(60 * MINUTE)
      .describe('The longest time an event is sticky; MSC4354 allows one hour at most.'),
    field_names: z
      .array(z.string().min(1))
      .min(1)
      .default(['msc4354_sticky', 'sticky'])
      .describe('The fields of a PDU that say that it is sticky.'),
    deadline_retries: z
      .boolean()
      .default(true)
      .describe(
        'Whether a failing destination is tried before its wait is over, so that a sticky event arrives in time.',
      ),
    deadline_retry_min_ms: ms(1)
      .default(30_000)
      .describe('The least time between an attempt and such a try after it.'),
  }).describe('Sticky events (MSC4354).'),
  sweep_interval_ms: ms(50)
    .default(30_000)
    .describe('How often limpet looks for destinations that were missed.'),
  retention: section({
    events_ms: age(1)
      .default(7 * DAY)
      .describe('How long events are kept; at least 2 x sticky.max_duration_ms.'),
    event_ids_ms: age(1)
      .default(30 * DAY)
      .describe('How long event ids are remembered, to recognise duplicates.'),
    attempts_ms: age(1)
      .default(DAY)
      .describe('How long attempts (at most the newest 100 of a destination) and closed gaps are kept.'),
    newest_event_ms: age(1)
      .default(90 * DAY)
      .describe("How long a room's newest event is kept for destinations that lag behind."),
    durable_edus_ms: age(1)
      .default(30 * DAY)
      .describe(
        'How long to-device messages and device lists are kept for destinations that do not take them.',
      ),
  }).describe('How long limpet keeps things.'),
  shutdown_grace_ms: ms(0, 60 * MINUTE)
    .default(10_000)
    .describe('How long requests in flight may take to end when limpet stops.'),
  log: section({
    level: z
      .enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
      .default('info')
      .describe('The lowest level that is logged.'),
    pretty: z
      .union([z.boolean(), z.literal('auto')], 'must be true, false or auto')
      .default('auto')
      .describe('Readable lines instead of JSON; auto: only on a terminal.'),
  }).describe('The log: JSON lines on standard output.'),
  sources: section({
    synapse: z
      .strictObject({
        database: postgresUrl.optional().describe("Synapse's database."),
        database_path: path.optional().describe('A file that contains it.'),
        redis: redisUrl
          .optional()
          .describe(
            "Synapse's Redis, for promptness; without it limpet asks Synapse's database every second.",
          ),
        redis_path: path.optional().describe('A file that contains it.'),
        instance_name: z
          .string()
          .min(1)
          .default('limpet')
          .describe("limpet's name among Synapse's federation senders."),
      })
      .optional()
      .describe('Makes limpet a federation sender of a Synapse. Default: off.'),
  }).describe('Where events come from besides the ingest API.'),
  internal: section({
    lease_ms: ms(100).default(15_000).describe('How long a destination stays with a process that has died.'),
    linger_ms: ms(0)
      .default(2_000)
      .describe('How long a destination is followed after its last transaction; 0: not at all.'),
    probe_ms: ms(10)
      .default(15_000)
      .describe('How often one destination is tried while all failures are taken for our own fault.'),
    stalled_ms: ms(100).default(5000).describe('After how long the queue takes a job for stalled.'),
  }).describe('For tests. May change without notice.'),
})

/** Keys that the contract names and a later release brings: refused, with a reason that says so. */
export const LATER = new Set(['federation.contact', 'admin'])

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
