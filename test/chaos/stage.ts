/**
 * Everything a crash test has on stage: a database and a queue that can be hurt, processes that can be
 * killed, strict remotes of which some misbehave, and what they must hold in the end.
 */
import { expect } from 'chai'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { quietPort } from '../support/port.ts'
import { ownServer, type OwnServer } from '../support/postgres.ts'
import { ownRedis, type OwnRedis } from '../support/redis.ts'
import { makeWorld, TOKENS, type World } from '../e2e/world.ts'
import { REMOTES } from './length.ts'
import { startLimpet, type LimpetProcess } from './process.ts'
import { seeded, type Random } from './random.ts'
import { makeTraffic, type Traffic } from './traffic.ts'
import { settled } from './verdict.ts'

export { figures } from './verdict.ts'

export type QueueKind = 'PostgreSQL' | 'Redis'
export const QUEUES: readonly QueueKind[] = ['PostgreSQL', 'Redis']

export interface Stage {
  world: World
  server: OwnServer
  redis: OwnRedis | null
  remotes: FakeHomeserver[]
  random: Random
  seed: number
  traffic: Traffic
  /** Where ingest listens. */
  address: string
  startIngest(env?: Record<string, string>, checkout?: string): Promise<LimpetProcess>
  /** `env`: settings of this process alone, e.g. `LIMPET_DATABASE`. `checkout`: the release that it is of. */
  startDeliver(env?: Record<string, string>, checkout?: string): Promise<LimpetProcess>
  /** POSTs items once; the status. */
  post(items: readonly unknown[]): Promise<number>
  /** Resolves when every remote holds what it must; then checks that each holds nothing else and no rule was broken. */
  settled(withinMs?: number): Promise<void>
  remove(): Promise<void>
}

export interface StageOptions {
  queue: QueueKind
  /** How many. */
  remotes?: number
  /** Mean pause between two batches. */
  pauseMs?: number
  /** Whether EDUs are told beside the events. Default false. */
  edus?: boolean
  /** Instead of a durable server of its own. */
  server?: OwnServer
  /** Settings over the world's; may lead to a proxy what the test itself reaches directly. */
  settings?: (places: { database: string; redis: string | null }) => Record<string, unknown>
  /** Instead of a plain strict remote: the one of this number. */
  makeRemote?: (world: World, index: number) => Promise<FakeHomeserver>
}

const TABLES = ['job', 'dedup', 'dedup_next', 'event', 'meta', 'metrics', 'rate_limit', 'scheduler']
export const EMPTY_QUEUE = `truncate ${TABLES.map((table) => `limpet_queue.${table}`).join(', ')} cascade`
/** Ends a test that has gone wrong; says nothing of how quick anything is. */
const SETTLED_MS = 180_000

export async function setStage(context: Mocha.Context, options: StageOptions): Promise<Stage> {
  const { queue, remotes: count = REMOTES, pauseMs = 60, edus = false } = options
  const seed = Number(process.env['LIMPET_SEED'] ?? Math.floor(Math.random() * 1e9))
  const random = seeded(seed)
  const redis = queue === 'Redis' ? await ownRedis(context) : null
  const server = options.server ?? (await ownServer({ migrated: true }))
  const places = { database: server.url, redis: redis?.url ?? null }
  const settings = { ...(redis === null ? {} : { queue: redis.url }), ...options.settings?.(places) }
  const world = await makeWorld({ databaseUrl: server.url, settings })
  const makeRemote = options.makeRemote ?? (() => world.remote())
  const remotes = await Promise.all(Array.from({ length: count }, (_, index) => makeRemote(world, index)))
  misbehave(remotes, random)
  const port = await quietPort()
  const address = `http://127.0.0.1:${port}`
  const started: LimpetProcess[] = []
  const start = async (env: Record<string, string> = {}, checkout: string | undefined, ...args: string[]) => {
    const limpet = startLimpet(['run', '--config', world.file, ...args], env, checkout)
    started.push(limpet)
    await limpet.ready()
    return limpet
  }
  const traffic = makeTraffic({ key: world.key, address, remotes, random, pauseMs })
  traffic.withEdus(edus)
  return {
    world,
    server,
    redis,
    remotes,
    random,
    seed,
    traffic,
    address,
    startIngest: (env, checkout) =>
      start(env, checkout, '--role', 'ingest,housekeep', '--listen', `127.0.0.1:${port}`),
    startDeliver: (env, checkout) => start(env, checkout, '--role', 'deliver', '--listen', 'none'),
    post: async (items) => {
      const headers = { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' }
      return (
        await fetch(`${address}/v1/ingest`, { method: 'POST', headers, body: JSON.stringify({ items }) })
      ).status
    },
    settled: (withinMs = SETTLED_MS) => settled(remotes, traffic.ledger, { withinMs, seed }),
    remove: async () => {
      // Where a test broke off it would go on for ever, and mocha with it.
      traffic.abandon()
      keepLogs(started, seed)
      await world.stop()
      await redis?.remove()
      await server.remove()
    },
  }
}

/**
 * One is slow, one loses answers, one fails at times; the rest are healthy. None fails three times in a row: then limpet searches what is
 * refused, rooms wait for it, and the order of one room says nothing about another's (contract 5.9; `search.test.ts`).
 */
function misbehave(remotes: readonly FakeHomeserver[], random: Random): void {
  remotes[0]?.behave({ kind: 'ok', delayMs: 150 })
  remotes[1]?.behave(() => (random() < 0.3 ? { kind: 'drop after processing' } : { kind: 'ok' }))
  const refusals = new Map<string, number>()
  remotes[2]?.behave(({ txnId }) => {
    const before = refusals.get(txnId) ?? 0
    if (before >= 2 || random() >= 0.2) return { kind: 'ok' }
    refusals.set(txnId, before + 1)
    return { kind: 'status', status: 502 }
  })
}

/** With `LIMPET_CHAOS_LOGS=DIRECTORY` what each process has said (its newest 200 KB) can be read afterwards. */
function keepLogs(processes: readonly LimpetProcess[], seed: number): void {
  const directory = process.env['LIMPET_CHAOS_LOGS']
  if (directory === undefined) return
  mkdirSync(directory, { recursive: true })
  for (const limpet of processes)
    writeFileSync(join(directory, `${seed}-${limpet.pid()}.log`), limpet.output())
}

/** The same place, but reached through the proxy. */
export function behind({ port }: { port: number }, url: string): string {
  const changed = new URL(url)
  changed.port = String(port)
  return changed.href
}

/** A line that says what was seen, under the test's name. */
export function say(text: string): void {
  console.log(`      ${text}`)
}

/**
 * Lets the traffic end and everything arrive. Nobody may have ended meanwhile, and what was refused may come again.
 * Returns the refusals in words.
 */
export async function outlasted(
  stage: Stage,
  {
    running,
    processes,
    pids,
  }: { running: Promise<void>; processes: readonly LimpetProcess[]; pids: number[] },
): Promise<string> {
  const { refusals } = stage.traffic
  stage.traffic.stop()
  await running
  await stage.settled()
  expect(
    processes.map((limpet) => limpet.pid()),
    'the same processes',
  ).to.deep.equal(pids)
  for (const status of refusals.keys()) expect(status).to.be.oneOf([503, 409])
  return [...refusals].map(([status, times]) => `${times} x ${status}`).join(', ') || 'none'
}
