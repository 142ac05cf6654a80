import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { quietPort } from '../support/port.ts'
import { lockDataDir } from '../../src/embedded/data-dir-lock.ts'
import { query } from '../../src/embedded/postmaster.ts'
import { isAlive } from '../../src/embedded/process-identity.ts'
import { freshDatabase } from '../support/postgres.ts'
import { ownRedis, sharedRedis } from '../support/redis.ts'
import type { Redis } from '../support/redis.ts'
import { loopbackAuthority } from '../e2e/world.ts'
import { synapseTables, type SynapseTables } from '../ingest/synapse/tables.ts'
import { install, limpet } from './cli-stage.ts'
import type { Install } from './cli-stage.ts'
import { startServer } from '../support/server.ts'

describe('check-config and migrate', () => {
  const installs: Install[] = []
  afterEach(() => {
    for (const one of installs.splice(0)) one.remove()
  })
  const setUp = (settings: object = {}) => {
    const one = install(settings)
    installs.push(one)
    return one
  }
  const run = async (one: Install, ...args: string[]) => {
    const said = await limpet(args, { cwd: one.dir })
    // On a busy machine it says what it waits for.
    return { ...said, err: said.err.replace(/^(?:checking|migrating) the .* … \d+ s\n/gm, '') }
  }
  const fails = async (one: Install, status: number, line: RegExp, command = 'check-config') => {
    const said = await run(one, command)
    expect(said.err).to.match(line)
    expect(said.err.match(/\n/g), 'one line').to.have.length(1)
    expect(said.status).to.equal(status)
    return said
  }
  const database = async (migrated: boolean) => {
    const { url } = await freshDatabase({ migrated })
    return { url, sql: (text: string) => query(url, (client) => client.query(text)) }
  }

  it('shows the effective values, secrets masked, and that key and database are fine', async () => {
    const { url } = await database(true)
    const one = setUp({ database: url, tokens: { ingest: 'hidden-token' } })
    const { status, out } = await run(one, 'check-config')
    expect(status).to.equal(0)
    expect(out).to.include('server_name: a.example').and.to.include('max_pdus: 50')
    expect(out).to.match(/^signing key: ok, signs as ed25519:a_\w+, public key \S+$/m)
    expect(out).to.match(/^database: ok/m)
    expect(out).not.to.include('hidden-token')
    expect(out).not.to.include(new URL(url).password)
  })

  it('fails where others may read the configuration and it holds a secret, which `run` only warns of', async () => {
    const { url } = await database(true)
    const one = setUp({ database: url })
    chmodSync(one.file, 0o644)
    await fails(
      one,
      2,
      /^limpet: \S+limpet\.yaml holds database and can be read by any user \(mode 0644\); run: chmod 600 /,
    )
    chmodSync(one.file, 0o640)
    expect((await run(one, 'check-config')).out).to.match(/^configuration file: ok$/m)
  })

  it('changes nothing: an embedded database that is not there is not made', async () => {
    const one = setUp()
    const { status, out } = await run(one, 'check-config')
    expect(status).to.equal(0)
    expect(out).to.include('database: ok, embedded; the first start creates it')
    expect(existsSync(join(one.dir, 'limpet-data'))).to.equal(false)
  })

  it('changes nothing: the embedded database of limpet 0.1 stays as it was, running or not, and data_dir as open', async () => {
    const one = setUp()
    const dataDir = join(one.dir, 'limpet-data')
    const server = await startServer({ dataDir })
    try {
      const files = () => readdirSync(join(dataDir, 'postgres')).sort()
      const before = files()
      const unchanged = () => {
        expect(files()).to.deep.equal(before)
        expect(statSync(dataDir).mode & 0o777).to.equal(0o755)
      }
      chmodSync(dataDir, 0o755)
      // Its limpet was killed; then, it runs; then, both have been stopped.
      const left = await run(one, 'check-config')
      expect(left.out).to.match(
        /^database: ok, embedded, made by limpet 0\.1; `run` migrates it to this version$/m,
      )
      expect(isAlive(server.pid)).to.equal(true)
      unchanged()
      const unlock = lockDataDir(dataDir)
      const beside = await run(one, 'check-config')
      expect(beside.out).to.match(/^database: ok, `run` migrates it to this version/m)
      unlock()
      unchanged()
      await server.stop()
      expect((await run(one, 'check-config')).out).to.match(/^database: ok, embedded, made by limpet 0\.1/m)
      unchanged()
    } finally {
      await server.stop('immediate')
    }
  })

  it('refuses a key file that others may read, one that is missing and one that is no key, exit 2', async () => {
    const one = setUp()
    chmodSync(one.key, 0o644)
    await fails(one, 2, /^limpet: signing_key_path: .* is open to others \(mode 0644\); run: chmod 600 /)
    chmodSync(one.key, 0o600)
    writeFileSync(one.key, 'ed25519 a_b short')
    await fails(
      one,
      2,
      /^limpet: signing_key_path: \/.*signing\.key: line 1 of the signing key file: the seed should/,
    )
    rmSync(one.key)
    await fails(one, 2, /^limpet: signing_key_path: .* does not exist\n$/)
  })

  it('refuses an own authority that is missing or that is none, exit 2', async () => {
    const one = setUp({ federation: { custom_ca_paths: ['own.pem'] } })
    await fails(one, 2, /^limpet: federation\.custom_ca_paths\.0: \/.*own\.pem does not exist\n$/)
    const pem = join(one.dir, 'own.pem')
    writeFileSync(pem, 'hello')
    await fails(one, 2, /^limpet: federation\.custom_ca_paths\.0: .*own\.pem contains no PEM certificate\n$/)
    writeFileSync(pem, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    await fails(one, 2, /^limpet: federation\.custom_ca_paths\.0: .*contains a damaged certificate\n$/)
    writeFileSync(pem, (await loopbackAuthority()).ca.cert)
    expect((await run(one, 'check-config')).out).to.match(/^custom CAs: ok, 1$/m)
  })

  it('wants a database that takes writes, exit 1: which server an address leads to may change by itself', async () => {
    const { url, sql } = await database(true)
    const one = setUp({ database: url })
    await sql(`alter database ${new URL(url).pathname.slice(1)} set default_transaction_read_only = on`)
    const says =
      /^limpet: the database at \S+ accepts no writes \(default_transaction_read_only is on\): use the address of the primary\n$/
    await fails(one, 1, says)
    await fails(one, 1, says, 'migrate')
  })

  it('wants tokens that can be made, or that are there and can be used, exit 2', async () => {
    const { url } = await database(true)
    const one = setUp({ database: url })
    expect((await run(one, 'check-config')).out).to.match(
      /^tokens: ok; the first start creates ingest, read, admin$/m,
    )
    expect(existsSync(join(one.dir, 'limpet-data'))).to.equal(false)
    mkdirSync(join(one.dir, 'limpet-data'))
    for (const bad of ['""', '"a b"', '"ä"']) {
      const text = `ingest: abc\nread: def\nadmin: ${bad}\n`
      writeFileSync(join(one.dir, 'limpet-data', 'tokens.yaml'), text, { mode: 0o600 })
      await fails(one, 2, /^limpet: tokens: .*tokens\.yaml is damaged/)
    }
    const other = setUp({ database: url, data_dir: 'limpet.yaml' })
    await fails(other, 2, /^limpet: data_dir: .*limpet\.yaml is not a folder\n$/)
    const given = setUp({ database: url, tokens: { ingest: 'a', read: 'b', admin: 'c' } })
    expect((await run(given, 'check-config')).out).to.match(/^tokens: ok$/m)
  })

  it("looks at a Synapse's database as `run` will read it", async () => {
    const { url } = await database(true)
    const from = (source: string) => setUp({ database: url, sources: { synapse: { database: source } } })
    const gone = `postgres://u:hidden@127.0.0.1:${await quietPort()}/synapse`
    const { err } = await fails(
      from(gone),
      1,
      /^limpet: Synapse's database at .* can't be reached \(.*ECONNREFUSED/,
    )
    expect(err).not.to.include('hidden')
    await fails(
      from(url),
      2,
      /^limpet: sources\.synapse: the database is not a Synapse's, or has an unknown schema: /,
    )
    const tables = await synapseTables()
    try {
      expect((await run(from(urlOf(tables)), 'check-config')).out).to.match(/^source's database: ok$/m)
      await tables.pool.query('alter table redactions drop column recheck')
      await fails(from(urlOf(tables)), 2, /^limpet: sources\.synapse: .*recheck/)
      await tables.pool.query('update schema_version set version = 1')
      await fails(from(urlOf(tables)), 2, /^limpet: sources\.synapse: Synapse's schema version is 1, /)
    } finally {
      await tables.close()
    }
  })

  it('looks at everything even where the first thing is wrong', async () => {
    const one = setUp({ database: `postgres://u:hidden@127.0.0.1:${await quietPort()}/d` })
    rmSync(one.key)
    const { out } = await fails(one, 2, /signing_key_path/)
    expect(out).to.match(/^signing key: wrong$/m)
    expect(out).to.match(/^database: wrong\n {2}the database at .* can't be reached \(.*ECONNREFUSED/m)
    expect(out).not.to.include('hidden')
  })

  it('says that the database is away or refused the login, exit 1', async () => {
    const away = setUp({ database: `postgres://u@127.0.0.1:${await quietPort()}/d` })
    await fails(
      away,
      1,
      /^limpet: the database at 127\.0\.0\.1:\d+\/d can't be reached \(.*ECONNREFUSED.*\): is it running/,
    )
    const { url } = await database(false)
    const wrong = new URL(url)
    wrong.password = 'wrong'
    const refused = /refused the login \(password authentication failed .*check user, password and database/
    await fails(setUp({ database: wrong.href }), 1, refused)
    wrong.href = url
    wrong.pathname = '/none'
    await fails(setUp({ database: wrong.href }), 1, /database "none" does not exist/)
    await fails(setUp({ database: wrong.href }), 1, /database "none" does not exist/, 'migrate')
  })

  it('refuses a database of another server_name, and one that a newer limpet made, exit 2', async () => {
    const { url, sql } = await database(true)
    const one = setUp({ database: url })
    await sql(`insert into settings (key, value) values ('server_name', 'b.example')`)
    await fails(
      one,
      2,
      /^limpet: the database belongs to server_name b\.example, but the configuration says a\.example/,
    )
    await sql(`insert into limpet_migrations (version, name, checksum) values (9999, 'x', 'x')`)
    await fails(
      one,
      2,
      /^limpet: the database schema is version 9999, but this limpet knows only versions up to \d+: /,
    )
    await fails(one, 2, /^limpet: the database schema is version 9999/, 'migrate')
  })

  it("migrates an empty database, ours and the queue's, and says so; a second time nothing happens", async () => {
    const { url, sql } = await database(false)
    const one = setUp({ database: url })
    expect((await run(one, 'check-config')).out).to.include('database: ok, `run` migrates it to this version')
    const first = await run(one, 'migrate')
    expect(first).to.include({ status: 0, err: '' })
    expect(first.out).to.match(/^applied 0001_limpet\.sql\n/)
    const queue = await sql(`select from pg_tables where schemaname = 'limpet_queue'`)
    expect(queue.rowCount).to.be.above(0)
    const second = await run(one, 'migrate')
    expect(second.out).to.equal('the database is up to date\n')
    expect((await run(one, 'check-config')).out).to.match(/^database: ok; the queue's schema ok$/m)
  })

  it('says that `limpet migrate` comes first where `run` is not to do it, exit 2', async () => {
    const { url } = await database(false)
    const one = setUp({ database: url, auto_migrate: false })
    await fails(one, 2, /^limpet: the database has no limpet schema: run `limpet migrate`\n$/)
    await run(one, 'migrate')
    expect(await run(one, 'check-config')).to.include({ status: 0, err: '' })
  })

  describe('with Redis', () => {
    let redis: Redis
    let url: string
    before(async function () {
      redis = await sharedRedis(this)
      url = (await database(true)).url
    })

    it('looks at the queue', async () => {
      const { status, out } = await run(setUp({ database: url, queue: redis.url }), 'check-config')
      expect(out).to.match(/^queue: ok$/m)
      expect(status).to.equal(0)
    })

    it('refuses one that may throw jobs away, exit 2', async () => {
      await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
      try {
        await fails(
          setUp({ database: url, queue: redis.url }),
          2,
          /has maxmemory-policy allkeys-lru .*set it to noeviction\n$/,
        )
      } finally {
        await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      }
    })

    it('wants the database that the URL names, exit 2', async () => {
      expect((await run(setUp({ database: url, queue: `${redis.url}/3` }), 'check-config')).out).to.match(
        /^queue: ok$/m,
      )
      for (const queue of [`${redis.url}/99`, `${redis.url}?db=99`])
        await fails(setUp({ database: url, queue }), 2, /^limpet: the Redis at .* has no database 99 .*\n$/)
    })

    it('refuses a replica, which may be the primary soon, exit 1', async function () {
      const replica = await ownRedis(this)
      try {
        await replica.command('REPLICAOF', '127.0.0.1', String(redis.port))
        await fails(
          setUp({ database: url, queue: replica.url }),
          1,
          /^limpet: the queue at \S+ .*this server is a replica/,
        )
      } finally {
        await replica.remove()
      }
    })

    it("looks at a Synapse's Redis", async () => {
      const tables = await synapseTables()
      try {
        const from = (source: string) =>
          setUp({ database: url, sources: { synapse: { database: urlOf(tables), redis: source } } })
        expect((await run(from(redis.url), 'check-config')).out).to.match(/^source's Redis: ok$/m)
        const gone = `redis://:hidden@127.0.0.1:${await quietPort()}`
        const { err } = await fails(
          from(gone),
          1,
          /^limpet: Synapse's Redis at .* can't be used: .*ECONNREFUSED/,
        )
        expect(err).not.to.include('hidden')
      } finally {
        await tables.close()
      }
    })

    it('says that it is away, exit 1', async () => {
      const gone = `redis://:hidden@127.0.0.1:${await quietPort()}`
      const { err } = await fails(
        setUp({ database: url, queue: gone }),
        1,
        /^limpet: the queue at redis:.* can't be reached: .*ECONNREFUSED/,
      )
      expect(err).not.to.include('hidden')
    })
  })
})

const urlOf = ({ pool }: SynapseTables): string =>
  (pool.options as { connectionString?: string }).connectionString ?? ''
