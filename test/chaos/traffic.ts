/**
 * A producer as the contract wants one: events in some rooms, some of them sticky, servers that come and go, and EDUs where the test asks for them.
 *
 * It has an outbox: a batch that was not answered with a 200 is asked for by its source token and sent again,
 * so every item is taken exactly once whatever is killed. It is the only one, so its order is the stream's.
 */
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { makeEvent, TOKENS } from '../e2e/world.ts'
import type { SigningKey } from '../../src/matrix/signing.ts'
import type { EduToTell } from '../../src/simulate/story/edu-told.ts'
import { makeRoughTalk, type RoughTalk } from './edu-talk.ts'
import { makeLedger, type Ledger } from './ledger.ts'
import type { Random } from './random.ts'

export interface Traffic {
  /** What each remote is owed. */
  readonly ledger: Ledger
  /** Events and EDUs said so far, and batches that were taken. */
  readonly events: number
  readonly edus: number
  readonly taken: number
  /** Batches that were not taken at the first try. */
  readonly retried: number
  /** Statuses of answers that were no 200; 0: no answer. */
  readonly refusals: ReadonlyMap<number, number>
  /** Sends batches until `stop`; resolves when the last one is taken. */
  run(): Promise<void>
  stop(): void
  /** From now on there are EDUs beside the events, or none. */
  withEdus(are: boolean): void
  /** No batch is tried again: ingest has gone for good. */
  abandon(): void
}

const ROOMS = 6
const EVENTS_A_BATCH = 4
/** EDUs after an event. */
const EDUS_AN_EVENT = 2
/** How often a room's members change before an event, and how often an event is sticky. */
const CHANGES = 0.15
const STICKY = 0.15
/** Longer than any test, shorter than the cap. */
const STICKY_MS = 3_500_000

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
  remotes: readonly Pick<FakeHomeserver, 'serverName'>[]
  random: Random
  pauseMs: number
}): Traffic {
  const ledger = makeLedger()
  const refusals = new Map<number, number>()
  const counts = { events: 0, edus: 0, taken: 0, retried: 0 }
  let talk: RoughTalk | null = null
  let hasEdus = false
  let stopped = false
  let abandoned = false
  const rooms = Array.from({ length: ROOMS }, (_, n) => `!room${n}:home.example`)
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T

  function batch(): unknown[] {
    const items: unknown[] = []
    for (let n = 0; n < EVENTS_A_BATCH; n += 1) {
      const room = pick(rooms)
      items.push(...changes(room))
      const sticky = random() < STICKY
      const { eventId, item } = makeEvent(key, room, sticky ? { stickyMs: STICKY_MS } : {})
      items.push(item)
      ledger.say(room, eventId, sticky)
      counts.events += 1
      if (hasEdus && talk !== null) items.push(...tell(talk.say(EDUS_AN_EVENT)))
    }
    return items
  }

  function tell(edus: readonly EduToTell[]): readonly unknown[] {
    for (const item of edus) ledger.tell(item)
    counts.edus += edus.length
    return edus
  }

  /** A room that nobody is in gets most of the servers; in others one leaves or comes back now and then. */
  function changes(room: string): unknown[] {
    if (ledger.there(room).length === 0) {
      const servers = remotes.map(({ serverName }) => serverName).filter(() => random() < 0.7)
      for (const server of servers) ledger.join(room, server)
      return servers.length === 0 ? [] : [{ type: 'servers', room_id: room, set: servers }]
    }
    if (random() >= CHANGES) return []
    const { serverName } = pick(remotes)
    const leaves = ledger.isThere(room, serverName)
    if (leaves) ledger.leave(room, serverName)
    else ledger.join(room, serverName)
    return [{ type: 'servers', room_id: room, [leaves ? 'remove' : 'add']: [serverName] }]
  }

  async function take(items: readonly unknown[], from: string | null, to: string): Promise<void> {
    const body = JSON.stringify({ source: 'chaos', source_token: to, if_source_token: from, items })
    const at = Date.now()
    for (let tries = 0; !abandoned; tries += 1) {
      const status = await post(body)
      if (status === 200) break
      if (tries === 0) counts.retried += 1
      refusals.set(status, (refusals.get(status) ?? 0) + 1)
      // Taken after all, and only the answer was lost.
      if ((await storedToken()) === to) break
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    ledger.taken({ at, takenAt: Date.now() })
    counts.taken += 1
  }

  /** 0: no answer. */
  async function post(body: string): Promise<number> {
    const headers = { authorization: `Bearer ${TOKENS.ingest}`, 'content-type': 'application/json' }
    try {
      const answer = await fetch(`${address}/v1/ingest`, {
        method: 'POST',
        headers,
        body,
        signal: AbortSignal.timeout(90_000),
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
        signal: AbortSignal.timeout(30_000),
      })
      return answer.status === 200
        ? ((await answer.json()) as { source_token: string | null }).source_token
        : undefined
    } catch {
      return undefined
    }
  }

  return {
    ledger,
    get events() {
      return counts.events
    },
    get edus() {
      return counts.edus
    },
    get taken() {
      return counts.taken
    },
    get retried() {
      return counts.retried
    },
    refusals,
    async run() {
      let n = 0
      const takeNext = (items: readonly unknown[]) => take(items, n === 0 ? null : `t${n}`, `t${(n += 1)}`)
      while (!stopped) {
        await takeNext(batch())
        await new Promise((resolve) => setTimeout(resolve, pauseMs * 2 * random()))
      }
      if (talk !== null) await takeNext(tell(talk.end()))
    },
    stop: () => {
      stopped = true
    },
    withEdus: (are) => {
      hasEdus = are
      if (are) talk ??= makeRoughTalk({ random, rooms, servers: remotes.map(({ serverName }) => serverName) })
    },
    abandon: () => {
      stopped = abandoned = true
    },
  }
}
