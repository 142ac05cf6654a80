/**
 * Everything a crash test has on stage: a database and a queue that can be hurt, processes that can be
 * killed, strict remotes of which some misbehave, and what they must hold in the end.
 */
import { expect } from 'chai'
import type { FakeHomeserver } from '../../src/simulate/fake-homeserver.ts'
import { freePort } from '../../src/store/embedded.ts'
import { ownServer, type OwnServer } from '../support/postgres.ts'
import { until } from '../support/poll.ts'
import { ownRedis, type OwnRedis } from '../support/redis.ts'
import { makeWorld, TOKENS, type World } from '../e2e/world.ts'
import { startLimpet, type LimpetProcess } from './process.ts'
import { makeTraffic, seeded, type Random, type Traffic } from './traffic.ts'

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
  startIngest(): Promise<LimpetProcess>
  startDeliver(): Promise<LimpetProcess>
  /** POSTs items once; the status. */
  post(items: readonly unknown[]): Promise<number>
  /** Resolves when every remote holds what it must, in order; then checks that no rule was broken. */
  settled(withinMs: number): Promise<void>
  remove(): Promise<void>
}

const TABLES = ['job', 'dedup', 'dedup_next', 'event', 'meta', 'metrics', 'rate_limit', 'scheduler']
export const EMPTY_QUEUE = `truncate ${TABLES.map((table) => `limpet_queue.${table}`).join(', ')} cascade`

export async function setStage(
  context: Mocha.Context,
  { queue, remotes: count = 8, pauseMs = 60 }: { queue: QueueKind; remotes?: number; pauseMs?: number },
): Promise<Stage> {
  const seed = Number(process.env['LIMPET_SEED'] ?? Math.floor(Math.random() * 1e9))
  const random = seeded(seed)
  const redis = queue === 'Redis' ? await ownRedis(context) : null
  const server = await ownServer({ migrated: true })
  const settings = redis === null ? {} : { queue: redis.url }
  const world = await makeWorld({ databaseUrl: server.url, settings })
  const remotes = await Promise.all(Array.from({ length: count }, () => world.remote()))
  misbehave(remotes, random)
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  const start = async (...args: string[]) => {
    const limpet = startLimpet(['run', '--config', world.file, ...args])
    await limpet.ready()
    return limpet
  }
  const traffic = makeTraffic({ key: world.key, address, remotes, random, pauseMs })
  return {
    world,
    server,
    redis,
    remotes,
    random,
    seed,
    traffic,
    address,
    startIngest: () => start('--role', 'ingest,housekeep', '--listen', `127.0.0.1:${port}`),
    startDeliver: () => start('--role', 'deliver', '--listen', 'none'),
    post: async (items) => {
      const headers = { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' }
      return (
        await fetch(`${address}/v1/ingest`, { method: 'POST', headers, body: JSON.stringify({ items }) })
      ).status
    },
    settled: (withinMs) => settled(remotes, traffic, { withinMs, seed }),
    remove: async () => {
      await world.stop()
      await redis?.remove()
      await server.remove()
    },
  }
}

/** One is slow, one loses answers, one fails at times; the rest are healthy. */
function misbehave(remotes: readonly FakeHomeserver[], random: Random): void {
  remotes[0]?.behave({ kind: 'ok', delayMs: 150 })
  remotes[1]?.behave(() => (random() < 0.3 ? { kind: 'drop after processing' } : { kind: 'ok' }))
  remotes[2]?.behave(() => (random() < 0.2 ? { kind: 'status', status: 502 } : { kind: 'ok' }))
}

async function settled(
  remotes: readonly FakeHomeserver[],
  { expected }: Traffic,
  { withinMs, seed }: { withinMs: number; seed: number },
): Promise<void> {
  for (const remote of remotes) {
    const wanted = expected.get(remote.serverName) ?? []
    const missing = () => wanted.filter((id) => !remote.received.has(id)).length
    await until(() => missing() === 0, {
      what: `${remote.serverName} to hold everything (seed ${seed})`,
      withinMs,
    }).catch((error: unknown) => {
      throw new Error(`${missing()} of ${wanted.length} missing: ${(error as Error).message}`)
    })
    expect([...remote.received.keys()], `what ${remote.serverName} holds (seed ${seed})`).to.deep.equal(
      wanted,
    )
    // A repeat under its own id counts once: these came in two different transactions.
    const twice = [...remote.received.values()].filter(({ times }) => times > 1)
    expect(twice, `what ${remote.serverName} got under two ids (seed ${seed})`).to.deep.equal([])
    expect(remote.violations, `rules broken at ${remote.serverName} (seed ${seed})`).to.deep.equal([])
  }
}

/** Transactions, and requests that repeated one, of all remotes. */
export function figures(remotes: readonly FakeHomeserver[]): { transactions: number; repeats: number } {
  const all = remotes.flatMap(({ transactions }) => transactions)
  const requests = all.reduce((sum, { requestsAt }) => sum + requestsAt.length, 0)
  return { transactions: all.length, repeats: requests - all.length }
}

/** A line that says what was seen, under the test's name. */
export function say(text: string): void {
  console.log(`      ${text}`)
}
