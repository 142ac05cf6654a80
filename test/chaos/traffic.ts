/**
 * A producer as the contract wants one, and what it knows every remote must get.
 *
 * It has an outbox: a batch that was not answered with a 200 is asked for by its source token and sent again,
 * so every item is taken exactly once whatever is killed. It is the only one, so its order is the stream's.
 */
import type { FakeHomeserver } from '../../src/simulate/fake-homeserver.ts'
import { makeEvent, TOKENS } from '../e2e/world.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'

export type Random = () => number

/** A small generator of its own (mulberry32), so that a seed repeats a run's choices. */
export function seeded(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

export interface Traffic {
  /** What each remote must hold, in order. */
  readonly expected: ReadonlyMap<string, string[]>
  /** Batches that were not taken at the first try. */
  readonly retried: number
  /** Statuses of answers that were no 200. */
  readonly refusals: ReadonlyMap<number, number>
  /** Sends batches until `stop`; resolves when the last one is taken. */
  run(): Promise<void>
  stop(): void
}

const ROOMS = 6

export function makeTraffic({
  key,
  address,
  remotes,
  random,
  pauseMs,
}: {
  key: SigningKey
  /** Where ingest listens: may be away for a while. */
  address: string
  remotes: readonly FakeHomeserver[]
  random: Random
  pauseMs: number
}): Traffic {
  const expected = new Map<string, string[]>(remotes.map(({ serverName }) => [serverName, []]))
  const members = new Map<string, Set<string>>()
  const refusals = new Map<number, number>()
  let retried = 0
  let stopped = false
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T

  /** Events of some rooms; now and then a server leaves one or comes back. */
  function batch(): unknown[] {
    const items: unknown[] = []
    for (let n = 0; n < 4; n += 1) {
      const room = `!room${Math.floor(random() * ROOMS)}:home.example`
      const there = members.get(room) ?? new Set<string>()
      members.set(room, there)
      if (there.size === 0) {
        for (const { serverName } of remotes) if (random() < 0.7) there.add(serverName)
        items.push({ type: 'servers', room_id: room, set: [...there] })
      } else if (random() < 0.1) {
        const { serverName } = pick(remotes)
        if (there.delete(serverName)) items.push({ type: 'servers', room_id: room, remove: [serverName] })
        else items.push({ type: 'servers', room_id: room, add: [(there.add(serverName), serverName)] })
      }
      const { eventId, item } = makeEvent(key, room)
      items.push(item)
      for (const name of there) expected.get(name)?.push(eventId)
    }
    return items
  }

  async function take(items: readonly unknown[], from: string | null, to: string): Promise<void> {
    const body = JSON.stringify({ source: 'chaos', source_token: to, if_source_token: from, items })
    for (let tries = 0; ; tries += 1) {
      const status = await post(body)
      if (status === 200) return
      if (tries === 0) retried += 1
      refusals.set(status, (refusals.get(status) ?? 0) + 1)
      // Taken after all, and only the answer was lost.
      if ((await storedToken()) === to) return
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }

  /** 0: no answer. */
  async function post(body: string): Promise<number> {
    const headers = { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' }
    try {
      const answer = await fetch(`${address}/v1/ingest`, {
        method: 'POST',
        headers,
        body,
        signal: AbortSignal.timeout(20_000),
      })
      await answer.arrayBuffer()
      return answer.status
    } catch {
      return 0
    }
  }

  async function storedToken(): Promise<string | null | undefined> {
    try {
      const headers = { authorization: `Bearer ${TOKENS.ingest}` }
      const answer = await fetch(`${address}/v1/ingest/position?source=chaos`, {
        headers,
        signal: AbortSignal.timeout(5_000),
      })
      return answer.status === 200
        ? ((await answer.json()) as { source_token: string | null }).source_token
        : undefined
    } catch {
      return undefined
    }
  }

  return {
    expected,
    get retried() {
      return retried
    },
    refusals,
    async run() {
      for (let n = 1; !stopped; n += 1) {
        await take(batch(), n === 1 ? null : `t${n - 1}`, `t${n}`)
        await new Promise((resolve) => setTimeout(resolve, pauseMs * 2 * random()))
      }
    },
    stop: () => {
      stopped = true
    },
  }
}
