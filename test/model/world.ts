/**
 * The world around one destination: processes of limpet, a queue, time, the remote, and the watch that sees all of it.
 */
import { adviseUp } from '../../src/store/ingest/advice.ts'
import type { Log } from '../../src/observe/log.ts'
import { destinationsCalled } from '../../src/store/ingest/state.ts'
import { makeSeenTime } from '../../src/store/upkeep/seen-time.ts'
import type { Blocking } from '../../src/deliver/blocking.ts'
import { putBlock, removeBlock } from '../../src/store/delivery/blocks.ts'
import { wishToSkip } from '../../src/store/delivery/skips.ts'
import type { Command } from './schedule.ts'
import { giveUpNow, tryNow } from '../../src/store/delivery/quarantine-acts.ts'
import { makeWish, type Wish } from '../../src/store/delivery/wishes.ts'
import type { Connect, SendRequest, SendResult } from '../../src/wire/send-result.ts'
import type { Connection, ModelDatabase } from './database.ts'
import { makeDeliverer, type Deliverer } from './deliverer.ts'
import { OTHER, SETTINGS, US, type ModelItem, type View } from './driver.ts'
import { makeHistory } from './history.ts'
import { retain, sweep } from './housekeeper.ts'
import type { Logged } from './memory/pool.ts'
import { happenedIn } from './observe.ts'
import { makeProcess, type Process } from './process.ts'
import { makeProducer, type Producer, type ProducerNeeds } from './producer.ts'
import { makeRequests, type Request } from './requests.ts'
import {
  answerOf,
  CUT_OFF,
  cutOff,
  isKept,
  refusalOf,
  remoteInWords,
  unfoundOf,
  WELL,
  whereaboutsOf,
  type Remote,
  type Told,
} from './remote.ts'
import type { Find } from '../../src/deliver/find.ts'
import { DAY, MINUTE, SECOND, type By, type Door } from './schedule.ts'
import { makeWatch, Violation, violated } from './watch.ts'
import type { Basis } from './waits.ts'

/** A clock that jumps is warned of, and here most do. */
const SILENT = { warn: () => undefined } as unknown as Log

export interface WorldOptions {
  catchUp?: typeof SETTINGS.catchUp
  /** What ingest makes of a request, to show that the model test sees it. */
  misread?: ProducerNeeds['misread']
  /** What ends what is under way when we are blocked, to show the same. */
  whenBlocked?: Blocking['whenBlocked']
  /** Processes may take failures for their own fault. */
  judges?: boolean
  /** What is empty is taken to be answered 200, to show the same. */
  emptyIsAnswered?: boolean
  /** Told of everything that happens, for who reads a failure. */
  tell?: (line: string) => void
}

export interface Actor {
  process: Process
  connection: Connection
}

export type World = ReturnType<typeof makeWorld>

export function makeWorld(
  database: ModelDatabase,
  {
    catchUp = SETTINGS.catchUp,
    misread,
    whenBlocked,
    judges = false,
    emptyIsAnswered = false,
    tell,
  }: WorldOptions,
) {
  const history = makeHistory()
  const watch = makeWatch(history)
  const say = tell ?? (() => undefined)
  let monotonic = 1_000_000
  let remote = WELL
  let job = false
  let fanoutJob = false
  let workers = 0
  let failure: Error | null = null
  let stepsTold: string[] = []
  let settling = false
  let leasesEndAt = 0
  /** The latest that the database's clock has said. */
  let latest = 0
  /** Since when, by the monotonic clock, we are blocked; null: we are not. */
  let blockedSince: number | null = null
  /** We were blocked since the last request: whoever is brought back then is looked at when a process has heard of it. */
  let wasBlocked = false
  let lists = 0
  /** Who is cut off. */
  const cut = new Set<string>()
  /** When each process asked last whom operators block, by the monotonic clock. */
  const heardAt = new Map<Process, number>()
  /** Who had it after the last commit. */
  let owner: string | null = null
  /** All that was ever taken, in its order. */
  const taken: ModelItem[] = []
  const bases = new Map<Process, Basis>()
  const answers = new Map<string, Told>()
  /** Who has a connection that is open and idle. */
  const connected = new Set<Process>()
  /** Who could not connect, until that is written down. */
  const refused = new Map<Process, SendResult>()
  /** Processes whose lease was over at some time, maybe without their knowledge; and those leases. */
  const lost = new Set<Process>()
  const over = new Set<string>()
  /** Leases of the dead, that are on their way to their end. */
  const ending: Promise<void>[] = []
  const requests = makeRequests(history)

  function fail(error: unknown): void {
    failure ??= error instanceof Error ? error : new Error(String(error))
  }

  /** The server ended its session. */
  function unlessEnded(error: unknown): void {
    if ((error as { code?: unknown }).code !== '25P03') fail(error)
  }

  function flushSteps(): void {
    if (stepsTold.length > 0) say(`      ${stepsTold.join(' · ')}`)
    stepsTold = []
  }
  function saySoon(line: string): void {
    flushSteps()
    say(line)
  }

  function start(name: string): Actor {
    const connection = database.connect((log, view) => {
      if (failure !== null) return
      try {
        committed(process, log, view)
      } catch (error) {
        fail(error)
      }
    })
    const process = makeProcess(name, connection, {
      step: (step) => {
        if (tell === undefined || settling) return
        if (stepsTold.length === 0) stepsTold.push(`${name}: ${step}`)
        else if (stepsTold[0]?.startsWith(`${name}: `) === true) stepsTold.push(step)
        else {
          flushSteps()
          stepsTold.push(`${name}: ${step}`)
        }
      },
      endless: () => {
        fail(new Violation(`settled: ${name} never comes to rest`))
      },
    })
    return { process, connection }
  }

  function committed(process: Process, log: readonly Logged[], view: View | null): void {
    // A clock that went far back made leases look impossibly long.
    if (log.some((one) => one.name === 'cut impossible leases' && one.rowCount > 0)) {
      for (const it of Object.values(deliverers)) isOver(it)
    }
    const from = owner
    if (view !== null) owner = view.owner
    blockedSince = view?.blocked === true ? (blockedSince ?? monotonic) : null
    wasBlocked ||= blockedSince !== null
    for (const one of happenedIn(log)) {
      switch (one.what) {
        case 'taken over':
          if (view !== null) watch.takenOver(one.worker, from, view)
          break
        case 'looked at':
          if (view !== null) bases.set(process, watch.basis(view))
          break
        case 'frozen': {
          const { txnId, positions, lanes, edus } = one.view
          const them = [
            ...positions.map((pos, i) => `${pos}${lanes[i]}`),
            ...edus.positions.map((pos) => `${pos}e`),
          ]
          saySoon(`        ${process.name} freezes ${name(txnId)}: ${them.join(' ')}`)
          if (view !== null) watch.frozen(one.view, view, bases.get(process)?.now ?? Infinity)
          break
        }
        case 'written down': {
          const refusal = one.answered ? undefined : refused.get(process)
          if (refusal !== undefined) {
            refused.delete(process)
            saySoon(`        ${process.name} writes down that it is not there`)
            watch.waits.written(refusal, view, process)
            break
          }
          const told = answers.get(`${process.name} ${one.txnId}`)
          if (told === undefined || one.txnId === null || view === null)
            violated('an answer', `${one.txnId} was never answered`)
          saySoon(`        ${process.name} writes down what became of ${name(one.txnId)}`)
          watch.written(one.txnId, told, view, process)
          break
        }
        case 'taken apart':
          saySoon(`        ${process.name} takes ${name(one.txnId)} apart`)
          watch.ended(one.txnId, database.now())
          break
        case 'EDU taken out':
          saySoon(
            `        ${process.name} takes an EDU out of ${name(one.txnId)}${one.sure ? '' : ', maybe'}`,
          )
          watch.tookOut(one)
          break
        case 'ended unanswered':
          saySoon(`        ${process.name} ends ${name(one.txnId)}`)
          watch.ended(one.txnId, database.now(), { handed: one.handed })
          break
        case 'taken': {
          const first = one.before + 1
          let pos = one.before
          const count = requests.taken(process, one.head - one.before, (item) => {
            if (joinsUs(item)) watch.waits.freed('join', one.now)
            const width = history.widthOf(item)
            history.take(item, pos + 1, one.now, monotonic)
            pos += width
            if (item.type === 'erase' && view !== null) watch.erased(pos, view)
            taken.push(item)
            return width
          })
          saySoon(`        positions ${first}${count > 1 ? ` to ${one.head}` : ''}`)
          break
        }
        case 'shortened':
          watch.shortened(one.upto, monotonic)
          break
        case 'given up apart':
          watch.gaveUp(one.positions, monotonic, SETTINGS.eventsMs)
          break
        case 'room overtaken':
          watch.overtaken(one.positions, one.upto)
          break
        case 'given up':
          watch.gaveUp(one.positions, monotonic)
          break
        case 'let go':
          if (view !== null && !wasBlocked) watch.rests(view, bases.get(process)?.head ?? 0)
          if (view !== null && !wasBlocked) watch.letGo(view, remote.does === 'is looked for' ? MINUTE : 0)
          break
        case 'sought':
          if (view !== null) watch.sought(view, one.ids)
          break
        case 'fanned out':
          if (view !== null && !wasBlocked) watch.rests(view, one.upto)
          break
        case 'dropped':
          if (view !== null) watch.dropped(view)
          break
        case 'skip wished':
          history.skipWished(one.upto)
          saySoon(`        what is owed up to ${one.upto} is given up`)
          break
        case 'skipped':
          saySoon(`        ${process.name} gives up what was owed up to ${one.upto}`)
          if (one.ended !== null) watch.ended(one.ended, database.now(), { bySkip: true })
          history.skipped(one.upto)
          break
        case 'put back':
          saySoon(`        ${process.name} puts back what failed for it`)
          if (view !== null) watch.waits.putBack(view, process)
          break
        case 'left out':
          if (view !== null) watch.waits.leftOut(view)
          break
        case 'moved':
          watch.moved(view, { byRetention: process === retainer.process })
      }
    }
  }

  function refuse(process: Process, request: Request): void {
    saySoon(`        ${process.name} does not know the room any more`)
    try {
      requests.refuse(process, request)
    } catch (error) {
      fail(error)
    }
  }

  const joinsUs = (item: ModelItem) =>
    (item.type === 'servers' && item.add.includes('us')) ||
    (item.type === 'set' && item.set.includes('us') && !history.inRoomNow(item.room))

  /** Ids are long; their first letters do. */
  const name = (txnId: string) => txnId.slice(0, 6)

  function isOver(it: Deliverer): void {
    lost.add(it.process)
    // A clock that is set back afterwards makes it look alive again until then.
    leasesEndAt = Math.max(leasesEndAt, database.now() + SETTINGS.leaseMs)
    const worker = it.worker()
    if (worker !== null) over.add(worker)
  }

  /** The process that keeps house looks at its clocks, unless it is held. */
  async function look(): Promise<void> {
    if (retainer.process.heldAt() === null) await seen.note(retainer.connection.pool)
  }

  async function passes(ms: number): Promise<void> {
    // It looks twice a minute: where more passes at once, right before it and right after it.
    if (ms >= MINUTE) await look()
    monotonic += ms
    history.passedTo(monotonic)
    await database.moveClock(ms)
    if (ms >= MINUTE) await look()
    watch.seen(database.now())
    latest = Math.max(latest, database.now())
    // A process that lives has renewed its lease meanwhile.
    for (const it of Object.values(deliverers)) {
      if (it.process.heldAt() !== null && ms > SETTINGS.leaseMs) isOver(it)
      const worker = it.worker()
      if (worker !== null && !over.has(worker)) await database.renew(worker, SETTINGS.leaseMs)
    }
    await hear()
  }

  /** Each second, whatever else it waits for; not one that is stopped. */
  async function hear(): Promise<void> {
    for (const it of Object.values(deliverers)) {
      const { process } = it
      const isStopped = process.heldAt() !== null && lost.has(process)
      if (isStopped || monotonic - (heardAt.get(process) ?? 0) < SECOND) continue
      heardAt.set(process, monotonic)
      await process.during(it.hear())
    }
  }

  /** In force everywhere within two seconds. */
  function mustBeAllowed(process: Process, what: string): void {
    if (blockedSince === null || lost.has(process) || monotonic - blockedSince < 2 * SECOND) return
    violated(
      'who is blocked is left alone (4)',
      `${process.name} ${what}, ${monotonic - blockedSince} ms after`,
    )
  }

  /** Looks for it or connects to it, which it may only when an attempt is due. */
  function tries(process: Process, isRefused: boolean): void {
    try {
      mustBeAllowed(process, 'looks for it or connects to it')
      const at = { now: database.now(), basis: bases.get(process) ?? null, stale: lost.has(process) }
      watch.connects(at, isRefused)
    } catch (error) {
      fail(error)
    }
  }

  const connectOf =
    (process: Process): Connect =>
    async ({ stillHeld, signal }) => {
      const wasIdle = connected.delete(process)
      if (!wasIdle) await process.step('the connection')
      if (signal.aborted || !stillHeld()) return cutOff(false)
      const refusal = wasIdle ? null : cut.has(process.name) ? CUT_OFF : refusalOf(remote)
      if (!wasIdle) {
        saySoon(`        ${process.name} connects${refusal === null ? '' : ', and is refused'}`)
        tries(process, refusal !== null)
      }
      if (refusal !== null) {
        await process.during(passes(refusal.durationMs))
        refused.set(process, refusal)
        return refusal
      }
      const send = (request: SendRequest) => sendOver(process, { ...request, stillHeld, signal })
      const giveBack = () => void connected.add(process)
      let ours = true
      return {
        ...{ kind: 'ready', wasIdle, connectMs: 0 },
        send: (request) => {
          ours = false
          return send(request)
        },
        giveBack: () => {
          if (ours) giveBack()
          ours = false
        },
      }
    }

  const findOf =
    (process: Process): Find =>
    async (_who, signal) => {
      await process.step('where it is')
      const whereabouts = signal.aborted ? ({ kind: 'found' } as const) : whereaboutsOf(remote)
      if (whereabouts.kind !== 'found')
        saySoon(`        ${process.name} does not find it: ${whereabouts.kind}`)
      if (whereabouts.kind !== 'failed') return whereabouts
      tries(process, true)
      await process.during(passes(whereabouts.durationMs))
      refused.set(process, unfoundOf(whereabouts))
      return whereabouts
    }

  async function sendOver(
    process: Process,
    { txnId, body, stillHeld, signal }: SendRequest & Pick<Parameters<Connect>[0], 'stillHeld' | 'signal'>,
  ): Promise<SendResult> {
    const isCut = () => signal.aborted
    refused.delete(process)
    const began = monotonic
    await process.step('the request')
    if (isCut() || !stillHeld()) return cutOff(false)
    const does: Remote = cut.has(process.name) ? { does: 'times out' } : remote
    const told = answerOf(does, body.toString())
    const handed = told.result.kind === 'answered' || told.result.handed
    saySoon(`        ${process.name} sends ${name(txnId)}; the remote ${remoteInWords(does)}`)
    const basis = bases.get(process) ?? null
    try {
      mustBeAllowed(process, `sends ${name(txnId)}`)
      if (blockedSince === null) wasBlocked = false
      watch.request(
        { txnId, body: body.toString() },
        { now: database.now(), lostMs: monotonic - began, handed, basis, stale: lost.has(process) },
      )
    } catch (error) {
      fail(error)
    }
    await process.during(passes(told.result.durationMs))
    await process.step('the answer')
    if (isCut()) return cutOff(handed)
    answers.set(`${process.name} ${txnId}`, told)
    if (isKept(told)) connected.add(process)
    if (emptyIsAnswered && body.includes('"pdus":[]') && !body.includes('"edus":['))
      return { kind: 'answered', pdus: null, durationMs: 40 }
    return told.result
  }

  function startDeliverer(by: By): Deliverer & Actor {
    const actor = start(by)
    const deliverer = makeDeliverer({
      ...{ asking: actor.connection.pool, whenBlocked, judges },
      isThere: () => !cut.has(by) && refusalOf(remote) === null,
      ...{ process: actor.process, now: () => database.now(), monotonic: () => monotonic, catchUp },
      wake: (who) => {
        job ||= who.some((one) => one.name === US)
        return Promise.resolve()
      },
      again: () => {
        job = true
      },
      connect: connectOf(actor.process),
      find: findOf(actor.process),
      takeIdle: () => null,
      isConnected: () => connected.has(actor.process),
      fault: (what, error) => {
        fail(new Error(`${by}: ${what}: ${String((error as Error | undefined)?.stack ?? error)}`))
      },
      workerId: () => `00000000-0000-4000-8000-${String((workers += 1)).padStart(12, '0')}`,
    })
    return { ...deliverer, ...actor }
  }

  function startProducer(door: Door): Producer & Actor {
    const actor = start(`ingest ${door}`)
    const onTaken = () => {
      fanoutJob = true
    }
    const producer = makeProducer(actor.process, { onTaken, misread })
    return { ...producer, ...actor }
  }

  const deliverers = { A: startDeliverer('A'), B: startDeliverer('B') }
  const producers = { '1': startProducer('1'), '2': startProducer('2') }
  let housekeeper = start('the sweep')
  let retainer = start('retention')
  /** One at a time, as the lock has it: on the connection that it is held on everything of retention is done. */
  let retaining: Process | null = null
  const operator = start('the operator')

  const lookAnew = () =>
    makeSeenTime({
      ...{
        clock: { monotonic: () => monotonic },
        eventsMs: SETTINGS.eventsMs,
        longestMs: 30 * DAY,
        log: SILENT,
      },
    })
  let seen = lookAnew()

  const all = (): Actor[] => [
    ...Object.values(deliverers),
    ...Object.values(producers),
    housekeeper,
    retainer,
    operator,
  ]

  /** Until nobody does anything more by itself. */
  async function quiet(): Promise<void> {
    await Promise.all(ending.splice(0))
    const [first] = all()
    if (first?.connection.sync === true) await first.process.quiet()
    else for (const { process } of all()) await process.quiet()
    flushSteps()
    if (failure !== null) throw failure
  }

  function restart(which: By | Door | 'sweep' | 'retention'): void {
    if (which === 'retention') {
      retainer.process.kill()
      retainer = start('retention')
      seen = lookAnew()
      return
    }
    if (which === 'sweep') {
      housekeeper.process.kill()
      housekeeper = start('the sweep')
    } else if (which === 'A' || which === 'B') {
      const it = deliverers[which]
      const worker = it.worker()
      it.process.kill()
      leasesEndAt = Math.max(leasesEndAt, database.now() + SETTINGS.leaseMs)
      if (worker !== null) ending.push(database.endLease(worker, leasesEndAt))
      deliverers[which] = startDeliverer(which)
    } else {
      producers[which].process.kill()
      requests.forget(producers[which].process)
      producers[which] = startProducer(which)
    }
  }

  return {
    history,
    watch,
    quiet,
    passes,
    restart,
    say: saySoon,
    now: () => database.now(),
    view: () => database.view(),
    deliverers,
    producers,
    housekeeper: () => housekeeper,
    retainer: () => retainer,
    remote: () => remote,
    isSought: () => remote.does === 'is looked for',
    setUplink: (by: By, is: 'gone' | 'back') => {
      if (is === 'gone') cut.add(by)
      else cut.delete(by)
    },
    isTroubled: () => Object.values(deliverers).some((it) => it.isTroubled()),
    setRemote: (next: Remote) => {
      remote = next
    },
    /** What the process gave last, where it was answered that a room it goes by is not known. */
    refusedAt: (door: Door) => requests.refusedOf(producers[door].process),
    append(door: Door, request: Request): void {
      const { process, append } = producers[door]
      requests.begin(process, request)
      append(request).then(
        (result) => {
          // Ended by the server, or refused: nothing of it was taken.
          // Or nothing of it takes a position.
          requests.end(process, request)
          if (result.kind === 'unknown_rooms') refuse(process, request)
          if (result.kind === 'invalid') fail(new Error(`ingest refused: ${JSON.stringify(result)}`))
        },
        (error: unknown) => {
          fail(error)
        },
      )
    },
    /** It follows the log, looks for what is due, and takes the jobs that wait. */
    tick(by: By): void {
      const it = deliverers[by]
      it.tick()
      if (fanoutJob) {
        fanoutJob = false
        it.fanout()
      }
      // Jobs are left to the other.
      if (!job || it.isTroubled()) return
      job = false
      it.turn()
    },
    sweep: (): void => {
      sweep(housekeeper.process.pool).then(() => {
        fanoutJob = true
      }, unlessEnded)
    },
    /** One look of it. */
    retain: (): void => {
      const { process } = retainer
      if (retaining === process) return
      retaining = process
      seen
        .note(process.pool)
        .then(() => retain(process.pool))
        .then(
          (upto) => {
            retaining = null
            if (upto !== null) saySoon(`        everything up to ${upto} has left the log`)
          },
          (error: unknown) => {
            retaining = null
            unlessEnded(error)
          },
        )
    },
    /** Like everybody's statements, an operator's may have to wait for a lock. */
    async wish(wish: Wish | 'skip'): Promise<void> {
      if (wish === 'skip') {
        wishToSkip(operator.process.pool, { name: US, who: 'model' }).catch(unlessEnded)
        return quiet()
      }
      makeWish(operator.process.pool, { wish, name: US, who: 'model' }).then(({ kind }) => {
        if (kind === 'done' && (wish === 'wake' || wish === 'reset')) watch.waits.freed(wish, database.now())
      }, unlessEnded)
      await quiet()
    },
    async actOnQuarantine({ act, kind, nth, of }: Extract<Command, { do: 'quarantine' }>): Promise<void> {
      const view = await database.view()
      const pos =
        kind === 'edu'
          ? view?.edusApart.filter(({ sure }) => sure).at(nth)?.pos
          : view?.apart.filter((one) => !view.searched.includes(one)).at(nth)
      const room = view?.heldRooms.at(0)
      if (kind === 'room' ? room === undefined : pos === undefined) return
      const named = kind === 'room' ? { kind, room: room ?? 0 } : { kind, pos: pos ?? 0 }
      const what = { name: of === 'us' ? US : OTHER, id: 'model', named, who: 'model' }
      const { pool } = operator.process
      const done = act === 'retry' ? tryNow(pool, what) : giveUpNow(pool, what)
      done.then(({ kind }) => {
        if (kind === 'done' && act === 'retry') watch.waits.freed('wake', database.now())
      }, unlessEnded)
      await quiet()
    },
    async block(what: 'block' | 'unblock', glob: string): Promise<void> {
      const version = `00000000-0000-4000-9000-${String((lists += 1)).padStart(12, '0')}`
      const { pool } = operator.process
      const done: Promise<unknown> =
        what === 'block'
          ? putBlock(pool, { glob, reason: null, by: 'model' }, version)
          : removeBlock(pool, { glob, by: 'model' }, version)
      done.catch(unlessEnded)
      await quiet()
    },
    async serverUp(): Promise<void> {
      watch.waits.freed('server up', database.now())
      const advise = async ({ pool }: Process) => {
        const ids = (await destinationsCalled(pool, [US])).map(({ id }) => id)
        await adviseUp(pool, ids, { random: () => 0.5, up: true })
      }
      advise(operator.process).catch(unlessEnded)
      await quiet()
    },
    moveClock: async (byMs: number) => {
      latest = Math.max(latest, database.now())
      await database.moveClock(byMs)
      watch.seen(database.now())
      // Nobody has renewed its lease meanwhile.
      if (byMs >= SETTINGS.leaseMs) for (const it of Object.values(deliverers)) isOver(it)
    },
    async loseLease(by: By, notices: boolean): Promise<void> {
      const it = deliverers[by]
      const worker = it.worker()
      isOver(it)
      if (worker !== null) await database.endLease(worker, 0)
      it.loseLease(notices)
    },
    /** Its lease is over, whether it knows or not. */
    isOver: (by: By) => over.has(deliverers[by].worker() ?? ''),
    emptyQueue: () => {
      job = false
      fanoutJob = false
    },
    /** From now on only what comes of it is told, not every step; and a process that was killed has no lease any more. */
    async settle(): Promise<void> {
      settling = true
      if (leasesEndAt > database.now()) await passes(leasesEndAt - database.now())
    },
    /**
     * A standby gets nothing any more. Returns what lets the database fail over to it, which nobody is told: what every
     * process remembers stays. That gives the items that are gone: their producer gives them again.
     */
    standBy(): (() => ModelItem[]) | null {
      const failOver = database.standBy()
      if (failOver === null) return null
      const parts = [failOver, history.save(), watch.save()]
      const known = taken.length
      return () => {
        for (const { connection } of all()) connection.endAll()
        for (const part of parts) part()
        owner = null
        for (const it of Object.values(deliverers)) isOver(it)
        // Nobody gives them back here, and no sweep need have seen the clock before it was set back.
        leasesEndAt = Math.max(leasesEndAt, latest + SETTINGS.leaseMs)
        return taken.splice(known)
      }
    },
    backUp(): (() => void) | null {
      const putBack = database.backUp()
      if (putBack === null) return null
      const parts = [putBack, history.save(), watch.save()]
      return () => {
        for (const { process } of all()) if (process !== operator.process) process.kill()
        for (const part of parts) part()
        for (const which of ['A', 'B', '1', '2', 'sweep', 'retention'] as const) restart(which)
      }
    },
  }
}
