/** Synapse's configuration for the interop test: one process, PostgreSQL, Redis, behind a gate with TLS, no rate limits. */
import { join } from 'node:path'
import { stringify } from 'yaml'

export interface HomeserverYaml {
  readonly serverName: string
  /** Where its gate finds it: the path of a Unix socket, like the next. */
  readonly federationSocket: string
  readonly clientSocket: string
  /** Where `ca.crt` is, and everything that Synapse writes goes. */
  readonly folder: string
  readonly databaseUrl: string
  readonly redisUrl: string | null
  readonly sharedSecret: string
  readonly senderInstances: readonly string[] | undefined
  readonly presence: boolean
}

/** The text of `homeserver.yaml`. */
export function homeserverYaml(o: HomeserverYaml): string {
  const at = (file: string) => join(o.folder, file)
  const database = new URL(o.databaseUrl)
  const unlimited = { per_second: 9999, burst_count: 9999 }
  return stringify({
    server_name: o.serverName,
    public_baseurl: 'http://localhost/',
    pid_file: at('synapse.pid'),
    media_store_path: at('media'),
    signing_key_path: at('signing.key'),
    macaroon_secret_key: o.sharedSecret,
    form_secret: o.sharedSecret,
    registration_shared_secret: o.sharedSecret,
    report_stats: false,
    listeners: [
      { path: o.federationSocket, type: 'http', resources: [{ names: ['federation'] }] },
      { path: o.clientSocket, type: 'http', resources: [{ names: ['client'] }] },
    ],
    federation_custom_ca_list: [at('ca.crt')],
    ip_range_blacklist: [],
    trusted_key_servers: [],
    database: {
      name: 'psycopg2',
      args: {
        host: database.searchParams.get('host') ?? database.hostname,
        port: Number(database.port || 5432),
        user: decodeURIComponent(database.username),
        password: decodeURIComponent(database.password),
        dbname: database.pathname.slice(1),
        cp_min: 1,
        cp_max: 5,
      },
    },
    redis: redisSection(o.redisUrl),
    ...(o.senderInstances === undefined ? {} : { federation_sender_instances: o.senderInstances }),
    // Prove the servers' readiness for sticky events; what limpet sends is ordinary PDUs all the same. MSC4293: a ban may redact.
    experimental_features: { msc4354_enabled: true, msc4293_enabled: true },
    federation: { destination_min_retry_interval: '1s', destination_max_retry_interval: '5s' },
    // A story looks at all that came, however much it was.
    filter_timeline_limit: -1,
    rc_message: unlimited,
    rc_registration: unlimited,
    rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
    rc_joins: { local: unlimited, remote: unlimited },
    rc_joins_per_room: unlimited,
    rc_invites: { per_room: unlimited, per_user: unlimited, per_issuer: unlimited },
    rc_room_creation: unlimited,
    // Nobody waits for these, and an empty database has little to change.
    background_updates: { sleep_enabled: false },
    // Passwords are not what this is about.
    bcrypt_rounds: 4,
    presence: { enabled: o.presence },
  })
}

function redisSection(url: string | null): Record<string, unknown> {
  if (url === null) return { enabled: false }
  const redis = new URL(url)
  return {
    enabled: true,
    host: redis.hostname,
    port: Number(redis.port || 6379),
    dbid: Number(redis.pathname.slice(1) || 0),
    ...(redis.password === '' ? {} : { password: decodeURIComponent(redis.password) }),
  }
}
