/** One destination that is followed in a test: a real database and the real look before it, the time and the remote are the test's. */
import { makeFollow, type FollowNeeds } from '../../../src/deliver/follow/follow.ts'
import { makeTogether } from '../../../src/deliver/together.ts'
import type { Clock } from '../../../src/pace/clock.ts'
import type { Wake } from '../../../src/deliver/wake/fanout.ts'
import type { SendResult } from '../../../src/wire/send-result.ts'
import type { EduWorld } from '../../ingest/edu-world.ts'
import { NOBODY_BLOCKED } from '../../support/nobody-blocked.ts'
import { loadDestination } from '../../support/one.ts'
import { until } from '../../support/poll.ts'
import { reachable } from '../../support/reachable.ts'
import { ANSWERED, holdInTest } from '../step-stage.ts'

export interface Body {
  pdus: unknown[]
  edus?: { edu_type: string; content: Record<string, unknown> }[]
}

/** It sleeps until time is made to pass. */
function testClock() {
  const sleepers = new Set<() => void>()
  let time = 0
  const clock: Clock = {
    now: () => Date.now(),
    monotonic: () => time,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        const done = () => {
          sleepers.delete(done)
          signal?.removeEventListener('abort', done)
          resolve()
        }
        sleepers.add(done)
        if (signal?.aborted === true) done()
        else signal?.addEventListener('abort', done, { once: true })
      }),
  }
  return {
    clock,
    pass: (ms: number) => {
      time += ms
      for (const wake of [...sleepers]) wake()
    },
  }
}

export type FollowStage = Awaited<ReturnType<typeof followInTest>>

export async function followInTest(world: EduWorld, name: string, more: Partial<FollowNeeds> = {}) {
  const { clock, pass } = testClock()
  const bodies: { txnId: string; text: string }[] = []
  const turns: string[] = []
  const woken: string[] = []
  const stopping = new AbortController()
  const cutting = new AbortController()
  let answer: SendResult = ANSWERED
  const stage = await holdInTest(world.pool, name, {
    clock,
    ...reachable(({ txnId, body }) => {
      bodies.push({ txnId, text: body.toString() })
      return Promise.resolve(answer)
    }),
  })
  const wake: Wake = (who) => {
    woken.push(...who.map((one) => one.name))
    return Promise.resolve()
  }
  const follow = makeFollow({
    ...stage.needs,
    ...makeTogether(stage.needs.pool, 1),
    ...{ running: new Set([name]), wake, blocking: NOBODY_BLOCKED, lingerMs: 2_000, most: 100 },
    ...{ stopping: stopping.signal, cutting: cutting.signal },
    serveOn: () => {
      turns.push(name)
      return Promise.resolve({ again: false })
    },
    takeAgain: () => Promise.resolve({ again: false }),
    ...more,
  })
  void follow.run()
  const lease = { id: stage.held.worker, signal: new AbortController().signal, stillHeld: () => true }

  /** Lets the log be read again and again, while no time passes, until something has happened. */
  const reads = (what: string, happened: () => boolean | Promise<boolean>) =>
    until(
      () => {
        pass(0)
        return happened()
      },
      { what, everyMs: 1 },
    )
  const timesRead = () => stage.statements.filter((one) => one === 'follow the log').length

  return {
    ...stage,
    ...{ follow, bodies, turns, woken, stopping, pass, reads },
    answers: (with_: SendResult) => (answer = with_),
    said: () => bodies.map(({ text }) => JSON.parse(text) as Body),
    /** A look sends what is there, or finds that it waits for its time, and it is followed from then on; what it was sent by then is forgotten here. */
    async begin(): Promise<boolean> {
      const state = await loadDestination(world.pool, stage.held)
      const looked = await stage.step()
      if (state === null || !('settled' in looked) || !looked.settled)
        throw new Error(`not settled: ${JSON.stringify(looked)}`)
      const begun = await follow.begin({ held: stage.held, state: { ...state, ...looked.settled }, lease })
      bodies.length = 0
      stage.statements.length = 0
      return begun
    },
    /** Everything that is in the log has been read, twice, and nothing is under way. */
    async quiet(): Promise<void> {
      for (const before of [timesRead(), timesRead() + 2])
        await reads('the log to be read', () => timesRead() > before + 1)
    },
    async row() {
      const [found] = await world.rows<{ position: number; d: number; e: number; follows: boolean }>(
        'select position::int as position, durable_pos::int as d, ephemeral_pos::int as e, follows from destinations where name = $1',
        [name],
      )
      return found!
    },
    end: () => cutting.abort(),
  }
}
