/**
 * What does each setting do at SIGHUP (contract, section 1)? Either it applies at once, or it needs a restart.
 *
 * Always: every key of the schema is in the table once. A setting that applies is asked for where it is used (`daemon/changeable.ts`), never
 * copied at the start. One that needs a restart keeps the value that the process started with, so it is named at each SIGHUP until then.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config.ts'

type At = 'now' | 'restart'

export const AT_HANGUP: Readonly<Record<string, At>> = {
  // The database is bound to it: a file that says another one is refused as a whole.
  server_name: 'restart',
  signing_key_path: 'now',
  data_dir: 'restart',
  database: 'restart',
  auto_migrate: 'restart',
  queue: 'restart',
  listen: 'restart',
  'tokens.ingest': 'now',
  'tokens.read': 'now',
  'tokens.admin': 'now',
  'metrics.token': 'now',
  'metrics.per_destination': 'restart',
  'federation.domain_allowlist': 'now',
  'federation.domain_denylist': 'now',
  'federation.ip_denylist': 'now',
  'federation.ip_allowlist': 'now',
  // Whom to ask is held by sockets and by what was learnt of each server.
  'federation.dns_servers': 'restart',
  'federation.insecure_domains': 'now',
  'federation.proxy': 'now',
  'federation.no_proxy': 'now',
  'federation.custom_ca_paths': 'now',
  'federation.max_idle_connections': 'now',
  'federation.max_concurrency': 'now',
  'federation.recovering_concurrency': 'now',
  'federation.ramp_per_second': 'now',
  'federation.connect_timeout_ms': 'now',
  'federation.request_timeout_ms': 'now',
  'federation.backoff.first_ms': 'now',
  'federation.backoff.multiplier': 'now',
  'federation.backoff.max_ms': 'now',
  'federation.backoff.jitter': 'now',
  'federation.long_outage_ms': 'now',
  'federation.dead_after_ms': 'now',
  'federation.max_pdus': 'now',
  'federation.max_edus': 'now',
  'federation.max_body_bytes': 'now',
  'federation.edus.presence': 'now',
  'federation.edus.typing': 'now',
  'federation.edus.receipts': 'now',
  'memory.bodies_bytes': 'now',
  'catch_up.threshold_pdus': 'now',
  'catch_up.min_age_ms': 'now',
  // What was taken in before was taken in by these, and retention leaves twice the longest.
  'sticky.max_duration_ms': 'restart',
  'sticky.field_names': 'restart',
  'sticky.deadline_retries': 'now',
  'sticky.deadline_retry_min_ms': 'now',
  sweep_interval_ms: 'restart',
  'retention.events_ms': 'restart',
  'retention.event_ids_ms': 'restart',
  'retention.attempts_ms': 'restart',
  'retention.newest_event_ms': 'restart',
  // What is planned and what is removed go by the same.
  'retention.durable_edus_ms': 'restart',
  shutdown_grace_ms: 'now',
  'log.level': 'now',
  'log.pretty': 'restart',
  'sources.synapse': 'restart',
  'internal.lease_ms': 'restart',
  'internal.linger_ms': 'restart',
  'internal.probe_ms': 'restart',
  'internal.stalled_ms': 'restart',
}

export interface Changes {
  /** Keys, in the table's order. */
  readonly applied: readonly string[]
  readonly needs_restart: readonly string[]
}

/** In which settings does `next` differ from `running`? What their files hold is not looked at. */
export function changesBetween(running: Config, next: Config): Changes {
  const changed = Object.keys(AT_HANGUP).filter(
    (key) => !isDeepStrictEqual(valueAt(running, key), valueAt(next, key)),
  )
  return {
    applied: changed.filter((key) => AT_HANGUP[key] === 'now'),
    needs_restart: changed.filter((key) => AT_HANGUP[key] === 'restart'),
  }
}

/** `running` with all of `next` that applies without a restart. */
export function withoutRestart(running: Config, next: Config): Config {
  return mixed(running, next, []) as Config
}

function mixed(running: unknown, next: unknown, path: readonly string[]): unknown {
  const key = path.join('.')
  const at = AT_HANGUP[key]
  if (at !== undefined) return at === 'now' ? next : running
  // What is no setting (the file's own name) stays.
  if (path.length > 0 && !Object.keys(AT_HANGUP).some((one) => one.startsWith(`${key}.`))) return running
  const names = new Set([...Object.keys(running as object), ...Object.keys(next as object)])
  return Object.fromEntries(
    [...names].map((name) => [name, mixed(valueOf(running, name), valueOf(next, name), [...path, name])]),
  )
}

const valueAt = (config: Config, key: string): unknown => key.split('.').reduce<unknown>(valueOf, config)

const valueOf = (of: unknown, name: string): unknown =>
  typeof of === 'object' && of !== null ? (of as Record<string, unknown>)[name] : undefined
