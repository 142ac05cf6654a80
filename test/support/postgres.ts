/**
 * Real PostgreSQL for tests: one server for the whole run, a database of its own for each caller.
 *
 * The shared server forgets what it was told when the machine stops (`fsync = off`); tests that kill
 * or restart a server take `ownServer()`, which is as durable as in production.
 */
import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPool } from '../../src/store/db.ts'
import { query, type StopMode } from '../../src/embedded/postmaster.ts'
import { migrate } from '../../src/store/migrate.ts'
import { placeCluster } from './cluster-template.ts'
import { endNow, leaveBehind } from './leftovers.ts'
import { type Server, startServer } from './server.ts'

export interface FreshDatabase {
  url: string
  /** Breaks whatever connections are left. Optional: the server goes with the run. */
  drop(): Promise<void>
}

export interface FreshOptions {
  /** Whether it has our schema. Default true. */
  migrated?: boolean
  /** Something else that takes long to set up: done once per `name`, then copied. */
  prepared?: { name: string; prepare(url: string): Promise<void> }
}

let shared: Promise<Server> | undefined
const templates = new Map<string, Promise<string>>()
let count = 0

/** The server of this run, started by the first who asks. `url` leads to its database `limpet`, which stays empty. */
export function sharedServer(): Promise<Server> {
  shared ??= startShared()
  return shared
}

async function startShared(): Promise<Server> {
  const dataDir = mkdtempSync(join(tmpdir(), 'limpet-test-'))
  const server = await startServer({
    dataDir,
    settings: { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '300' },
  })
  const remove = () => rmSync(dataDir, { recursive: true, force: true })
  leaveBehind({
    clear: async () => {
      await server.stop('immediate')
      remove()
    },
    kill: () => {
      endNow(server.pid, 'SIGQUIT')
      remove()
    },
  })
  return server
}

/** A new database of the shared server, copied from a template: 20 to 50 ms. */
export async function freshDatabase({
  migrated = true,
  prepared,
}: FreshOptions = {}): Promise<FreshDatabase> {
  const server = await sharedServer()
  const name = await patiently(async () => {
    const template = await templateFor(server, { migrated, prepared })
    const next = `test_${(count += 1)}`
    await query(server.url, (client) => client.query(`create database ${next} template ${template}`))
    return next
  })
  return {
    url: databaseUrl(server.url, name),
    drop: async () => {
      await query(server.url, (client) => client.query(`drop database if exists ${name} with (force)`))
    },
  }
}

/** Again, where the machine was too busy to connect in time: that is nothing a test is about. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (tries >= 5 || !/timeout/i.test(String(error))) throw error
    }
  }
}

function templateFor(
  server: Server,
  { migrated, prepared }: { migrated: boolean; prepared: FreshOptions['prepared'] },
): Promise<string> {
  if (!migrated && !prepared) return Promise.resolve('template0')
  const name = ['template', migrated ? 'migrated' : 'empty', ...(prepared ? [prepared.name] : [])].join('_')
  const known = templates.get(name)
  if (known !== undefined) return known
  const made = makeTemplate()
  templates.set(name, made)
  // One failure must not be everybody's.
  made.catch(() => templates.delete(name))
  return made

  async function makeTemplate(): Promise<string> {
    await query(server.url, async (client) => {
      await client.query(`drop database if exists ${name} with (force)`)
      await client.query(`create database ${name} template template0`)
    })
    const url = databaseUrl(server.url, name)
    if (migrated) await migrateAt(url)
    await prepared?.prepare(url)
    return name
  }
}

export async function migrateAt(url: string): Promise<void> {
  const pool = openPool({ url, max: 1 })
  try {
    await migrate(pool)
  } finally {
    await pool.end()
  }
}

function databaseUrl(url: string, name: string): string {
  const changed = new URL(url)
  changed.pathname = `/${name}`
  return changed.href
}

export interface OwnServer {
  /** Stays the same through restarts. */
  url: string
  dataDir: string
  /** Of the server that runs now. */
  pid(): number
  stop(mode?: StopMode): Promise<void>
  /** After `stop` or `kill`, on the same port. */
  start(): Promise<void>
  restart(mode?: StopMode): Promise<void>
  /** SIGKILL to the server's main process: `start` has to recover. */
  kill(): void
  /** Copies the stopped server's data; `restore` (stopped as well) puts that copy in place. */
  backUp(): { restore(): void }
  /** Copies the stopped server whole; `start` starts the copy, as a server of its own. */
  clone(): { start(port: number): Promise<OwnServer> }
  /** Of the stopped server: from its next start on it is a standby of the one on `port`, and accepts no writes. */
  follow(port: number): void
  /** Stops it and removes its directory. */
  remove(): Promise<void>
}

/** A durable server for one test. Its database `limpet` has our schema unless told otherwise. */
export async function ownServer({
  migrated = true,
  settings = {},
  under = tmpdir(),
}: OwnServerOptions = {}): Promise<OwnServer> {
  const dataDir = mkdtempSync(join(under, 'limpet-own-'))
  if (migrated) await placeCluster(dataDir, settings, migrateAt)
  return owned(dataDir, await startServer({ dataDir, settings }))
}

function owned(dataDir: string, first: Server): OwnServer {
  const data = join(dataDir, 'postgres', 'data')
  let server = first
  const { url, port } = server
  const remove = async () => {
    await server.stop('immediate')
    rmSync(dataDir, { recursive: true, force: true })
    forget()
  }
  const kill = () => process.kill(server.pid, 'SIGKILL')
  const forget = leaveBehind({
    clear: remove,
    kill: () => {
      endNow(server.pid, 'SIGQUIT')
      rmSync(dataDir, { recursive: true, force: true })
    },
  })
  const start = async () => {
    server = await startServer({ dataDir, port })
  }
  return {
    url,
    dataDir,
    pid: () => server.pid,
    start,
    stop: (mode) => server.stop(mode),
    restart: async (mode) => {
      await server.stop(mode)
      await start()
    },
    kill,
    backUp: () => {
      const copy = join(dataDir, `copy-${(count += 1)}`)
      // cp keeps owners and modes, on which PostgreSQL insists.
      execFileSync('cp', ['-a', data, copy])
      return {
        restore: () => {
          rmSync(data, { recursive: true })
          execFileSync('cp', ['-a', copy, data])
        },
      }
    },
    clone: () => {
      const copy = mkdtempSync(join(tmpdir(), 'limpet-own-'))
      mkdirSync(join(copy, 'postgres'), { mode: 0o700 })
      for (const name of ['data', 'password'])
        execFileSync('cp', ['-a', join(dataDir, 'postgres', name), join(copy, 'postgres', name)])
      const removeCopy = () => rmSync(copy, { recursive: true, force: true })
      const forgetCopy = leaveBehind({
        clear: async () => Promise.resolve().then(removeCopy),
        kill: removeCopy,
      })
      return {
        start: async (at) => {
          const started = owned(copy, await startServer({ dataDir: copy, port: at }))
          forgetCopy()
          return started
        },
      }
    },
    follow: (primaryPort) => {
      const { username, password } = new URL(url)
      const conninfo = `host=127.0.0.1 port=${primaryPort} user=${username} password=${password}`
      appendFileSync(join(data, 'postgresql.auto.conf'), `primary_conninfo = '${conninfo}'\n`)
      writeFileSync(join(data, 'standby.signal'), '')
    },
    remove,
  }
}

export interface OwnServerOptions {
  migrated?: boolean
  settings?: Readonly<Record<string, string>>
  /** The directory in which its own is made. */
  under?: string
}
