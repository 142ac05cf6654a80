/** What every measurement needs: the built programs, a key, certificates, a durable PostgreSQL, and Redis where there is one. */
import { randomBytes } from 'node:crypto'
import { generateKey, readSigningKey, type SigningKey } from '../../src/matrix/signing.ts'
import { makeCertificateAuthority, type KeyPair } from '../../src/simulate/fleet/certs.ts'
import { openPool, type Pool } from '../../src/store/db.ts'
import { ownServer, type OwnServer } from '../support/postgres.ts'
import { ownRedis, type Redis } from '../support/redis.ts'
import { buildCheckout } from './build.ts'
import { ROAD_DOMAIN } from './road-names.ts'

export interface Setting {
  built: (source: string) => string
  key: SigningKey
  keyText: string
  ca: string
  tls: KeyPair
  postgres: OwnServer
  /** `redis://…`, or null where there is none. */
  redisUrl: string | null
  /** A new database, and a pool to look into it. It keeps count of its statements. */
  database(name: string): Promise<{ url: string; pool: Pool }>
  /** Sends away those that are left. */
  dropDatabase(name: string): Promise<void>
  /** Of Redis; that in a database goes with it. */
  emptyQueue(): Promise<void>
}

export interface SettingOptions {
  /** PostgreSQL measures how long it plans each statement as well, which costs a little itself. */
  statements: boolean
  /** More lines for `postgresql.conf`. */
  postgres?: Readonly<Record<string, string>>
}

const settingsFor = (planning: boolean) => ({
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track_planning': planning ? 'on' : 'off',
})

/** Addresses on which receivers may listen; Linux has all of 127.0.0.0/8. */
export const HOSTS = Array.from({ length: 10 }, (_, i) => `127.0.0.${i + 1}`)

export async function makeSetting({ statements, postgres: more = {} }: SettingOptions): Promise<Setting> {
  const { fileText } = generateKey(randomBytes)
  const authority = await makeCertificateAuthority(Date.now())
  const built = buildCheckout()
  const [postgres, redis, tls] = await Promise.all([
    ownServer({ migrated: false, settings: { ...settingsFor(statements), ...more } }),
    findRedis(),
    authority.issue({ ips: HOSTS, names: [`*.${ROAD_DOMAIN}`] }),
  ])
  const admin = openPool({ url: postgres.url, max: 1 })
  const { rows } = await admin.query<{ on: boolean }>(
    `select current_setting('fsync') = 'on' and current_setting('synchronous_commit') = 'on' as on`,
  )
  if (rows[0]?.on !== true) throw new Error('PostgreSQL is not durable here: nothing would be measured')
  return {
    built,
    key: readSigningKey(fileText),
    keyText: fileText,
    ca: authority.cert,
    tls,
    postgres,
    redisUrl: redis?.url ?? null,
    async database(name) {
      await admin.query(`create database ${name}`)
      const url = new URL(postgres.url)
      url.pathname = `/${name}`
      const pool = openPool({ url: url.href, max: 2 })
      await pool.query('create extension pg_stat_statements')
      return { url: url.href, pool }
    },
    dropDatabase: async (name) => {
      await admin.query(`drop database ${name} with (force)`)
    },
    emptyQueue: async () => {
      await redis?.flush()
    },
  }
}

async function findRedis(): Promise<Redis | null> {
  // What the tests' support asks of a test.
  const nobody = {
    timeout: () => 0,
    skip: () => {
      throw new Error('no redis-server')
    },
  } as unknown as Mocha.Context
  try {
    return await ownRedis(nobody)
  } catch {
    return null
  }
}
