/** Following, in schedules that only come about when everything is slow at the wrong moment: database and time are the test's. */
import { expect } from 'chai'
import type { Batcher } from '../../../src/pace/batcher.ts'
import type { Clock } from '../../../src/pace/clock.ts'
import { makeFollow, type FollowNeeds } from '../../../src/deliver/follow/follow.ts'
import { makeSharedBodies } from '../../../src/deliver/shared-bodies.ts'
import type { Turned } from '../../../src/deliver/turned.ts'
import { makeLog } from '../../../src/observe/log.ts'
import type { Beginning, Frozen } from '../../../src/store/delivery/acknowledge-and-freeze.ts'
import type { AttemptResult } from '../../../src/store/delivery/results.ts'
import type { Pool } from '../../../src/store/db.ts'
import type { DestinationState } from '../../../src/store/delivery/destination.ts'
import type { Following } from '../../../src/store/delivery/follow-flag.ts'
import { nameIn } from '../../../src/store/statement.ts'
import { NOBODY_BLOCKED } from '../../support/nobody-blocked.ts'
import { placesFor } from '../../support/places.ts'
import { reachable } from '../../support/reachable.ts'
import type { SendResult } from '../../../src/wire/send-result.ts'
import { until } from '../../support/poll.ts'

const NAME = 'b.example'
const LINGER_MS = 2_000

const batcher = <T, R>(answer: (call: T) => R | Promise<R>): Batcher<T, R> => ({
  add: async (call) => answer(call),
  waiting: () => 0,
  idle: () => Promise.resolve(),
})

interface Row {
  pos: number
  kind: 'event'
}

const ORDINARY = {
  ...{ ephemeralAt: null, eduAlone: false },
  ...{ now: 0, wakeSeq: 0, narrowedSeq: 0, lists: false, gap: null, owed: [], timeoutMs: null },
  isolation: null,
  waiting: { failures: 0, adviceAt: null },
}

/** One destination, in room 1, in a log of events that all go to it. */
function stage(over: Partial<FollowNeeds> = {}) {
  const stopping = new AbortController()
  const cutting = new AbortController()
  const lease = { id: 'w', signal: new AbortController().signal, stillHeld: () => true }
  const sleepers = new Set<() => void>()
  let time = 0
  const log: Row[] = []
  const sent: string[] = []
  const frozen: Frozen[] = []
  const results: AttemptResult[] = []
  const released: Following[] = []
  const woken: string[] = []
  const statements: string[] = []
  let begun = 0
  /** Holds answers to reads of the log back while it is there. */
  let held: Promise<void> | null = null
  let reads = 0

  const clock: Clock = {
    now: () => time,
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
  const query = async (text: string, values: unknown[]) => {
    if (nameIn(text) === 'who is in the rooms')
      return { rows: [{ room: 1, destination: [5], since: [0], until: [Number.MAX_SAFE_INTEGER] }] }
    if (nameIn(text) !== 'follow the log') {
      statements.push(text.trim())
      return { rowCount: 1, rows: [{ quick: true }] }
    }
    const [after] = values as [number]
    const head = log.at(-1)?.pos ?? 0
    const rows = log.slice(Math.max(0, after - 1)).map((row) => ({ head, ...rowOf(row) }))
    reads += 1
    if (held !== null) await held
    return { rows: rows.length > 0 ? rows : [{ head, pos: null }] }
  }
  const running = new Set<string>()
  const follow = makeFollow({
    pool: { query } as unknown as Pool,
    ...{ clock, running, random: () => 0, log: makeLog({ level: 'silent', pretty: false }) },
    ...{ lingerMs: LINGER_MS, most: 100, stopping: stopping.signal, cutting: cutting.signal },
    ...{ maxPdus: 50, maxBodyBytes: 1_000_000, requestTimeoutMs: 60_000 },
    bodyOf: makeSharedBodies({ origin: 'home.example', clock }),
    backoff: {} as FollowNeeds['backoff'],
    edus: { maxEdus: 100, off: new Set(), durableMs: 30 * 86_400_000 },
    ...placesFor(100, { clock }),
    blocking: NOBODY_BLOCKED,
    onAttempt: () => undefined,
    results: batcher((result) => {
      results.push(result)
      return true
    }),
    origin: 'home.example',
    load: batcher(() => null),
    freeze: batcher((call: Beginning) => {
      if (!('again' in call)) frozen.push(call)
      return time
    }),
    begin: batcher<Following, boolean>(() => {
      begun += 1
      return true
    }),
    release: batcher((call) => {
      released.push(call)
      return true
    }),
    wished: batcher(() => true),
    wake: (who) => {
      woken.push(...who.map(({ name }) => name))
      return Promise.resolve()
    },
    serveOn: () => Promise.resolve({ again: false }),
    takeAgain: () => Promise.resolve({ again: false }),
    ...reachable(({ body }) => {
      sent.push(body.toString())
      return Promise.resolve<SendResult>({ kind: 'answered', pdus: null, durationMs: 1 })
    }),
    ...over,
  })
  return {
    ...{ follow, running, stopping, cutting, sent, frozen, results, released, woken, statements },
    begun: () => begun,
    reads: () => reads,
    append: () => {
      log.push({ pos: (log.at(-1)?.pos ?? 0) + 1, kind: 'event' })
      follow.nudge()
    },
    begin: (position = log.at(-1)?.pos ?? 0, name = NAME) => {
      running.add(name)
      const settled = { position, durablePos: position, ephemeralPos: position }
      const state = { ...ORDINARY, ...settled, name, id: 5 } as unknown as DestinationState
      return follow.begin({ held: { worker: 'w', destination: 5, fence: 1 }, state, lease })
    },
    /** Lets `ms` pass for everybody who sleeps. */
    pass: (ms: number) => {
      time += ms
      for (const wake of [...sleepers]) wake()
    },
    hold: () => {
      let release: () => void = () => undefined
      held = new Promise((resolve) => (release = resolve))
      return () => {
        held = null
        release()
      }
    },
  }
}

const rowOf = ({ pos, kind }: Row) => ({
  ...{ pos, kind, room: 1, event_id: `$${pos}`, pdu: `{"n":${pos}}`, received_ts: 0, sticky: false },
  ...{ exact: null, list: null, less: null, target: null, added: null, removed: null },
})

/** Lets time pass in steps until something has happened. */
const passUntil = (it: { pass: (ms: number) => void }, what: string, condition: () => boolean) =>
  until(
    () => {
      it.pass(25)
      return condition()
    },
    { what, everyMs: 1 },
  )

describe('following', () => {
  it('goes on for a destination that was let go and is followed again while a read of the log is under way', async () => {
    let letThrough: () => void = () => undefined
    let reads = 0
    const it = stage({
      release: batcher((call) => {
        it.released.push(call)
        // The next read begins after this, so it is the last one for it; and it takes long.
        reads = it.reads()
        letThrough = it.hold()
        return true
      }),
    })
    void it.follow.run()
    await it.begin()
    await passUntil(
      it,
      'it to be let go, and a read that began after that',
      () => it.reads() > reads && reads > 0,
    )
    expect(await it.begin(), 'a turn that somebody brought about meanwhile').to.equal(true)
    letThrough()
    await passUntil(it, 'the end of that read', () => it.reads() > reads + 1)
    it.append()
    await passUntil(it, 'the new event to be sent', () => it.sent.length === 1)
    it.cutting.abort()
  })

  it('wakes whom an item came for between its last read and its being let go', async () => {
    const it = stage({
      release: batcher(() => {
        // Committed before the release, and nobody else is woken for it: it is followed until then.
        it.append()
        return true
      }),
    })
    void it.follow.run()
    await it.begin()
    await passUntil(it, 'it to be woken', () => it.woken.length > 0)
    expect(it.woken).to.deep.equal([NAME])
    expect(it.follow.has(NAME)).to.equal(false)
    expect(it.running.size).to.equal(0)
    it.cutting.abort()
  })

  it('wakes whom an item came for that it read while it let it go', async () => {
    let commit: () => void = () => undefined
    let asked = false
    const it = stage({
      release: batcher(() => {
        asked = true
        return new Promise<boolean>((resolve) => (commit = () => resolve(true)))
      }),
    })
    void it.follow.run()
    await it.begin()
    await passUntil(it, 'its release', () => asked)
    it.append()
    const reads = it.reads()
    await passUntil(it, 'a read that brings the event', () => it.reads() > reads + 1)
    commit()
    await passUntil(it, 'it to be woken', () => it.woken.length > 0)
    expect(it.sent).to.deep.equal([])
    it.cutting.abort()
  })

  it('keeps a destination that is followed again while a wake for its turn before comes to nothing', async () => {
    let refuse: (error: Error) => void = () => undefined
    const turns: Turned[] = [{ again: true, quick: true }]
    const it = stage({
      serveOn: () => Promise.resolve(turns.shift() ?? { again: false }),
      wake: () => new Promise((_resolve, reject) => (refuse = reject)),
    })
    void it.follow.run()
    await it.begin()
    it.follow.woken(NAME)
    await passUntil(it, 'its turn to give way', () => turns.length === 0 && it.running.size === 0)
    await it.begin()
    refuse(new Error('the queue is away'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(it.running.has(NAME), 'else its destination would count as abandoned').to.equal(true)
    it.append()
    await passUntil(it, 'the new event to be sent', () => it.sent.length === 1)
    it.cutting.abort()
  })

  // Each wake for an event that it saw anyway cost a look at the rows; while it looked it was not followed, and the next event
  // woke it again: of 500 destinations in traffic 400 were looked at every second.
  it('goes on where it is woken and nobody wishes a look at its rows', async () => {
    const asked: unknown[] = []
    const it = stage({
      wished: batcher((known) => {
        asked.push(known)
        return false
      }),
    })
    void it.follow.run()
    await it.begin()
    it.follow.woken(NAME)
    it.append()
    await passUntil(it, 'the new event to be sent', () => it.sent.length === 1)
    expect(asked).to.deep.equal([{ destination: 5, wakeSeq: 0 }])
    expect(it.follow.has(NAME)).to.equal(true)
    expect(it.statements).to.deep.equal([])
    it.cutting.abort()
  })

  it('has a look where it could not be asked whether somebody wishes one', async () => {
    const it = stage({ wished: batcher(() => Promise.reject(new Error('the database is away'))) })
    void it.follow.run()
    await it.begin()
    it.follow.woken(NAME)
    await passUntil(it, 'its turn to end', () => it.running.size === 0)
    expect(it.statements.join()).to.include('set follows = false')
    it.cutting.abort()
  })

  it('writes an answer down with the next transaction, or alone where none comes soon', async () => {
    const it = stage()
    void it.follow.run()
    await it.begin()
    it.append()
    await passUntil(it, 'the first event to be sent', () => it.sent.length === 1)
    it.append()
    await passUntil(it, 'the second event to be sent', () => it.sent.length === 2)
    const [first, second] = it.frozen
    expect(second?.answered?.txnId).to.equal(first?.txnId)
    expect(second?.acknowledges.positions).to.deep.equal([2])
    expect(it.results).to.deep.equal([])
    await passUntil(it, 'the second answer to be written', () => it.results.length === 1)
    expect(it.results[0]).to.deep.include({ txnId: second?.txnId, answered: true })
    expect(it.released, 'it is followed for longer than that').to.deep.equal([])
    it.cutting.abort()
  })

  // A busy moment of our own in which everybody waited for more than five seconds made each of them look at its rows; that kept us busy, so everybody
  // waited for longer: of 500 destinations in traffic most were not followed any more.
  for (const { waitsMs, looks } of [
    { waitsMs: 20_000, looks: false },
    { waitsMs: 40_000, looks: true },
  ])
    it(`${looks ? 'has a look at' : 'still has'} what waited for ${waitsMs / 1000} s`, async () => {
      let answer: () => void = () => undefined
      const bodies: string[] = []
      const it = stage({
        ...reachable(({ body }) => {
          bodies.push(body.toString())
          const came: SendResult = { kind: 'answered', pdus: null, durationMs: 1 }
          return new Promise((resolve) => (answer = () => resolve(came)))
        }),
      })
      void it.follow.run()
      await it.begin()
      it.append()
      await passUntil(it, 'the first event to be sent', () => bodies.length === 1)
      it.append()
      const reads = it.reads()
      await passUntil(it, 'the second event to be read', () => it.reads() > reads + 1)
      it.pass(waitsMs)
      await passUntil(it, 'everybody to be looked after', () => it.reads() > reads + 3)
      answer()
      const wasLookedAt = () => it.statements.join().includes('set follows = false')
      await passUntil(it, 'what comes next', () => bodies.length === 2 || wasLookedAt())
      expect(wasLookedAt()).to.equal(looks)
      it.cutting.abort()
    })

  it('lets everybody go, and takes over nobody, while this process may not work', async () => {
    let may = true
    const it = stage({ mayWork: () => may })
    void it.follow.run()
    const state = { waiting: {}, owed: [], head: 0 } as unknown as DestinationState
    const ordinary = {
      ...state,
      ...{ paused: false, open: null, gap: null, unlistedAt: null, timeoutMs: null, isolation: null },
      waiting: { failures: 0, retryAt: null, holdUntil: null, adviceAt: null, askedAt: null },
    } as unknown as DestinationState
    expect(it.follow.mayBegin(ordinary, 0)).to.equal(true)
    await it.begin()
    may = false
    expect(it.follow.mayBegin(ordinary, 0)).to.equal(false)
    it.append()
    await passUntil(it, 'it to be let go', () => it.released.length === 1)
    expect(it.frozen.length, 'transactions').to.be.lessThan(2)
    it.cutting.abort()
  })

  it('is not begun once the process stops, though the stop came while it was about to be', async () => {
    const it = stage({
      begin: batcher<Following, boolean>(() => {
        it.stopping.abort()
        return true
      }),
    })
    expect(await it.begin()).to.equal(false)
    expect(it.follow.has(NAME)).to.equal(false)
    expect(it.statements.join(), 'others wake it from now on').to.include('set follows = false')
  })

  it('ends with the stop, and acknowledges and lets go before', async () => {
    const it = stage({
      ...reachable(() => {
        it.stopping.abort()
        return Promise.resolve<SendResult>({ kind: 'answered', pdus: null, durationMs: 1 })
      }),
    })
    const ran = it.follow.run()
    await it.begin()
    it.append()
    let done = false
    void ran.then(() => (done = true))
    await passUntil(it, 'the end', () => done)
    expect(it.released).to.have.length(1)
    expect(it.results.map(({ txnId }) => txnId)).to.deep.equal(it.frozen.map(({ txnId }) => txnId))
  })
})
