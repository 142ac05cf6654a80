/**
 * Real Redis for tests. Found on the PATH, else installed from Debian's packages where we may (root
 * and apt-get), else the test is skipped and the count says why; with LIMPET_REQUIRE_REDIS=1 a missing
 * one is a failure.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { quietPort } from './port.ts'
import { leaveBehind } from './leftovers.ts'
import { until } from './poll.ts'
import { findOrInstall, INSTALL_MS } from './program.ts'
import { skip } from './skip.ts'

export interface Redis {
  /** `redis://127.0.0.1:PORT`. */
  url: string
  port: number
  /** One command, its words as they are; gives the first line of the answer. For what a test does to Redis. */
  command(...words: string[]): Promise<string>
  /** Who is connected, as CLIENT LIST says it, a line each; without replicas, masters and the one who asks. */
  clients(): Promise<string[]>
  /** FLUSHALL: everything is gone. */
  flush(): Promise<void>
  /** Stops it and removes its directory. */
  remove(): Promise<void>
}

export interface OwnRedis extends Redis {
  pid(): number
  /** SIGKILL; nothing was written to disk, so `start` begins empty. */
  kill(): Promise<void>
  /** After `kill`, on the same port. */
  start(): Promise<void>
}

let shared: Promise<OwnRedis> | undefined

/** The Redis of this run. Call it in a `before` hook: `redis = await sharedRedis(this)`; it may skip the suite. Flush it before use. */
export async function sharedRedis(context: Mocha.Context): Promise<Redis> {
  const program = await redisServer(context)
  shared ??= startRedis(program, [])
  return shared
}

/** A Redis for one suite, which may kill it. Skips like `sharedRedis`. */
export async function ownRedis(context: Mocha.Context, args: readonly string[] = []): Promise<OwnRedis> {
  return startRedis(await redisServer(context), args)
}

/** A Redis Cluster (Redis 7) of one node with all slots: it refuses keys of several slots in one command as a big one does. */
export async function redisCluster(context: Mocha.Context): Promise<Redis> {
  const program = await redisServer(context)
  // The cluster's own traffic has a port of its own, by default 10000 above, which may be beyond the last one.
  const busPort = await quietPort()
  const args = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort)]
  const redis = await startRedis(program, [...args, '--cluster-announce-ip', '127.0.0.1'])
  await redis.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  await until(async () => (await redis.command('SET', 'ready', '1')) === '+OK', {
    what: 'the cluster to be up',
  })
  await redis.flush()
  return redis
}

let looked: Promise<string | null> | undefined

async function redisServer(context: Mocha.Context): Promise<string> {
  const timeout = context.timeout()
  context.timeout(INSTALL_MS)
  looked ??= findOrInstall('redis-server', 'redis-server')
  const program = await looked
  context.timeout(timeout)
  if (program !== null) return program
  if (process.env['LIMPET_REQUIRE_REDIS'] === '1') {
    throw new Error('no redis-server on the PATH and none could be installed, but LIMPET_REQUIRE_REDIS=1')
  }
  return skip(context, 'no redis-server')
}

/** Looks for it before any test: files that run beside each other must not install it at the same time. */
export async function prepareRedis(): Promise<void> {
  looked ??= findOrInstall('redis-server', 'redis-server')
  await looked
}

/** Between the choice of a free port and its use somebody else may have taken it: then with another one. */
async function startRedis(program: string, extra: readonly string[], tries = 5): Promise<OwnRedis> {
  try {
    return await tryRedis(program, extra, await quietPort())
  } catch (error) {
    if (tries <= 1) throw error
    return startRedis(program, extra, tries - 1)
  }
}

async function tryRedis(program: string, extra: readonly string[], port: number): Promise<OwnRedis> {
  const directory = mkdtempSync(join(tmpdir(), 'limpet-redis-'))
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--logfile', 'redis.log']
  args.push('--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction', ...extra)
  const command = (...words: string[]) => ask(port, words)
  const launch = async () => {
    const child = spawn(program, args, { stdio: 'ignore', detached: true })
    child.on('error', () => undefined)
    const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
    const gone = () => child.exitCode !== null || child.signalCode !== null
    await until(async () => gone() || (await command('PING')) === '+PONG', {
      what: `redis-server on port ${port} to answer`,
    })
    if (gone()) throw new Error(`redis-server did not start on port ${port}`)
    return { pid: child.pid!, ended }
  }
  const tidy = () => rmSync(directory, { recursive: true, force: true })
  let running = await launch().catch((error: unknown) => {
    tidy()
    throw error
  })
  const kill = async () => {
    try {
      process.kill(running.pid, 'SIGKILL')
    } catch {
      // It was killed before.
    }
    await running.ended
  }
  const remove = async () => {
    await kill()
    tidy()
    forget()
  }
  const killNow = () => {
    tidy()
    process.kill(running.pid, 'SIGKILL')
  }
  const forget = leaveBehind({ clear: remove, kill: killNow })
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    command,
    clients: async () =>
      (await ask(port, ['CLIENT', 'LIST'], bulkOf))
        .split('\n')
        .filter((line) => line.includes(' flags=') && !/ flags=[SM] | cmd=client/.test(line)),
    flush: async () => {
      await command('FLUSHALL')
    },
    remove,
    pid: () => running.pid,
    kill,
    start: async () => {
      running = await launch()
    },
  }
}

/** One command over a connection of its own (RESP: an array of strings); rejects on an error answer. */
function ask(
  port: number,
  words: readonly string[],
  read: (answer: string) => string | null = lineOf,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.setTimeout(5_000, () => socket.destroy(new Error('Redis does not answer')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('Redis closed the connection')))
    const strings = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`)
    socket.write(`*${words.length}\r\n${strings.join('')}`)
    let answer = ''
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString()
      const got = answer.startsWith('-') ? lineOf(answer) : read(answer)
      if (got === null) return
      if (got.startsWith('-')) reject(new Error(`Redis: ${got.slice(1)}`))
      else resolve(got)
      socket.destroy()
    })
  })
}

/** The first line; null: not whole yet. */
function lineOf(answer: string): string | null {
  const end = answer.indexOf('\r\n')
  return end < 0 ? null : answer.slice(0, end)
}

/** A whole string of several lines. */
function bulkOf(answer: string): string | null {
  const head = lineOf(answer)
  if (head === null) return null
  const text = answer.slice(head.length + 2)
  return Buffer.byteLength(text) >= Number(head.slice(1)) + 2 ? text : null
}
