/**
 * Runs one schedule in one world under the reference model's eyes, then lets everything settle.
 */
import { eduItem } from './edu-items.ts'
import { isGone } from './history.ts'
import type { ModelDatabase } from './database.ts'
import type { ModelItem, Sender, Server } from './driver.ts'
import { remoteInWords, WELL } from './remote.ts'
import {
  HOUR,
  type Audience,
  type Follows,
  type Break,
  type By,
  type Command,
  type Door,
} from './schedule.ts'
import { settle } from './settle.ts'
import { violated } from './watch.ts'
import { wordsOf } from './words.ts'
import { makeWorld, type Actor, type WorldOptions } from './world.ts'

/** Throws a `Violation` where limpet does what it must not. */
export async function runSchedule(
  database: ModelDatabase,
  schedule: readonly Command[],
  options: WorldOptions = {},
): Promise<void> {
  let well = false
  try {
    await runIn(database, schedule, options)
    well = true
  } finally {
    await database.close(well)
  }
}

async function runIn(
  database: ModelDatabase,
  schedule: readonly Command[],
  options: WorldOptions,
): Promise<void> {
  // Only where an uplink goes: whose fault it is can't be told from one destination.
  const judges = schedule.some((one) => one.do === 'uplink')
  const world = makeWorld(database, { ...options, judges })
  const { history, watch } = world
  let made = 0
  let putBack: (() => void) | null = null
  let depth = 0

  const event = (
    room: number,
    audience: Audience,
    stickyMs: number | null,
    size: number,
    { sender, odd = false }: { sender?: Sender; odd?: boolean } = {},
  ): ModelItem => {
    const eventId = `$e${(made += 1)}`
    const by = sender ?? (made % 2 === 0 ? 'two' : 'one')
    const to: Server[] | null = audience === 'to us' ? ['us'] : audience === 'to nobody' ? [] : null
    return {
      ...{ type: 'event', room, eventId, by, stickyMs, to, odd },
      pdu: JSON.stringify({ id: eventId, text: 'x'.repeat(size) }),
      alsoTo: audience === 'also to us' ? ['us', 'other'] : [],
      notTo: audience === 'not to us' ? ['us'] : [],
    }
  }

  /** Begins something in a process, and holds it where the schedule says so. */
  async function act(
    actor: Actor,
    which: By | Door | 'sweep' | 'retention',
    begin: () => void,
    at: Break | null,
  ) {
    const { process, connection } = actor
    // One that waits for an answer goes on with everything else.
    const waits = process.heldAt() === 'the answer'
    if (process.heldAt() !== null && !waits) return
    if (waits) {
      begin()
      return world.quiet()
    }
    process.holdAt(at?.at ?? null)
    begin()
    await world.quiet()
    const held = process.heldAt()
    if (at === null || held === null) {
      process.holdAt(null)
      return
    }
    world.say(`      -- ${process.name} is held before “${held}”`)
    for (const one of at.happens) await run(one)
    switch (at.then) {
      case 'dies':
        world.say(`      -- ${process.name} is killed`)
        world.restart(which)
        break
      case 'is stopped':
        world.say(`      -- ${process.name} is stopped`)
        connection.endSessions()
        if (which === 'A' || which === 'B') await world.loseLease(which, false)
        break
      case 'is overtaken':
        if (which === 'A' || which === 'B') {
          world.say(`      -- the lease of ${which} is over, and the other takes a turn`)
          await world.loseLease(which, false)
          await run({ do: 'turn', by: which === 'A' ? 'B' : 'A', break: null })
        }
        process.goOn()
        break
      case 'goes on':
        world.say(`      -- ${process.name} goes on`)
        process.goOn()
    }
    await world.quiet()
  }

  const take = (door: Door, items: ModelItem[], at: Break | null, onlyKnownRooms = false) =>
    items.length === 0
      ? Promise.resolve()
      : act(
          world.producers[door],
          door,
          () => {
            world.append(door, { items, onlyKnownRooms })
          },
          at,
        )

  /** What its producer still has, as it would be given now. */
  async function giveAgain(item: ModelItem): Promise<void> {
    if (item.type === 'servers' && item.add.includes('us') === history.inRoomNow(item.room)) return
    if (item.type === 'redact') {
      const target = history.all().find(({ eventId }) => eventId === item.eventId)
      if (target === undefined || isGone(target)) return
    }
    await take('1', [item], null)
    await world.quiet()
  }

  /** By a source that has told the room, with us in it; it tells the room again where limpet does not know it. */
  async function follow({ room, what, stickyMs, door, break: at }: Follows): Promise<void> {
    const joins = what === 'join' && !history.inRoomNow(room)
    const items = joins ? [servers(room, ['us'], [])] : [event(room, 'room', stickyMs, 60)]
    await take(door, items, at, true)
    if (world.refusedAt(door)?.items !== items) return
    await take(door, [{ type: 'set', room, set: joins ? [] : ['us'], keep: [] }, ...items], null, true)
  }

  const servers = (room: number, add: Server[], remove: Server[]): ModelItem => ({
    ...{ type: 'servers', room, add, remove },
  })

  async function run(one: Command): Promise<void> {
    depth += 1
    world.say(`${'  '.repeat(depth)}${wordsOf({ ...one, ...('break' in one ? { break: null } : {}) })}`)
    await doIt(one)
    await world.quiet()
    depth -= 1
  }

  async function doIt(one: Command): Promise<void> {
    switch (one.do) {
      case 'append':
        return take(
          one.door,
          Array.from({ length: one.count }, (_, i) =>
            event(one.room, one.audience, one.stickyMs, one.size, { odd: one.odd === true && i % 2 === 0 }),
          ),
          one.break,
        )
      case 'edu':
        return take(
          one.door,
          Array.from({ length: one.count }, () => eduItem(one, () => (made += 1))),
          one.break,
        )
      case 'join':
        return take(one.door, history.inRoomNow(one.room) ? [] : [servers(one.room, ['us'], [])], one.break)
      case 'leave':
        return take(one.door, history.inRoomNow(one.room) ? [servers(one.room, [], ['us'])] : [], one.break)
      case 'rejoin': {
        const first = history.inRoomNow(one.room) ? [servers(one.room, [], ['us'])] : []
        return take(one.door, [...first, servers(one.room, ['us'], [])], one.break)
      }
      case 'kick':
        if (!history.inRoomNow(one.room)) return
        return take(one.door, [event(one.room, 'room', null, 60), servers(one.room, [], ['us'])], one.break)
      case 'set': {
        const set: Server[] = one.us === 'in it' ? ['us', 'other'] : ['other']
        const keep: Server[] = one.us === 'kept' ? ['us'] : []
        return take(one.door, [{ type: 'set', room: one.room, set, keep }], one.break)
      }
      case 'follows':
        return follow(one)
      case 'purge':
        return take(one.door, [{ type: 'purge', room: one.room }], one.break)
      case 'redact': {
        const target = history.all().at(-1 - one.back)
        if (target === undefined || isGone(target)) return
        const pdu = JSON.stringify({ id: target.eventId, redacted: true })
        return take(one.door, [{ type: 'redact', eventId: target.eventId, pdu }], one.break)
      }
      case 'erase': {
        const target = history.all().at(-1 - one.back)
        if (target === undefined) return
        const { by, room, eventId } = target
        const item: ModelItem =
          one.what === 'event' ? { type: 'erase', eventIds: [eventId] } : { type: 'erase', by }
        if (!one.among) return take(one.door, [item], one.break)
        const [before, after] = [
          event(room, 'room', HOUR, 60, { sender: by }),
          event(room, 'room', null, 60, { sender: by }),
        ]
        return take(one.door, [before, item, after], one.break)
      }
      case 'clock':
        if (one.byMs < 0) watch.waits.freed('clock', 0)
        return world.moveClock(one.byMs)
      case 'process clock':
        world.deliverers[one.by].skew(one.byMs)
        return
      case 'time':
        return world.passes(one.ms)
      case 'until due': {
        const view = await world.view()
        const wait = view?.lookAt == null ? 0 : view.lookAt - view.now
        await world.passes(wait > 0 && wait <= 2 * HOUR ? Math.max(wait, 500) : 500)
        await tick('A', null)
        return tick('B', null)
      }
      case 'remote':
        world.setRemote(one.remote)
        return
      case 'uplink':
        world.setUplink(one.by, one.is)
        return
      case 'operator':
        return world.wish(one.wish)
      case 'block':
      case 'unblock':
        return world.block(one.do, one.glob)
      case 'quarantine':
        return world.actOnQuarantine(one)
      case 'server up':
        return world.serverUp()
      case 'turn':
        return turn(one.by, one.break)
      case 'tick':
        await world.passes(500)
        return tick(one.by, one.break)
      case 'sweep':
        return act(world.housekeeper(), 'sweep', world.sweep, one.break)
      case 'retention':
        return act(world.retainer(), 'retention', world.retain, one.break)
      case 'dies':
        world.restart(one.by)
        return
      case 'lease lost':
        return world.loseLease(one.by, one.notices)
      case 'goes on':
        return goOn(one.by, one.notices)
      case 'queue is emptied':
        world.emptyQueue()
        return
      case 'back up':
        // In the middle of something a copy would hold it half done.
        if (depth === 1) putBack = world.backUp()
        return
      case 'fails over': {
        const failOver = world.standBy()
        if (failOver === null) return
        for (const other of one.lost) await run(other)
        world.say(`${'  '.repeat(depth)}  -- the database has failed over`)
        const lost = failOver()
        await world.quiet()
        // It takes a moment.
        await world.passes(1_000)
        for (const other of one.then) await run(other)
        for (const item of lost) await giveAgain(item)
        return
      }
      case 'restore':
        if (depth === 1) putBack?.()
        return
    }
  }

  function tick(by: By, at: Break | null): Promise<void> {
    const begin = () => {
      world.tick(by)
    }
    return act(world.deliverers[by], by, begin, at)
  }

  async function turn(by: By, at: Break | null): Promise<void> {
    const it = world.deliverers[by]
    const before = await world.view()
    const wasOver = world.isOver(by)
    await act(it, by, it.turn, at)
    // Where an operator asked for an attempt and there was none yet, nothing may be left waiting after a turn.
    const after = await world.view()
    const free = before?.owner == null || (before.owner === it.worker() && !wasOver)
    if (at !== null || it.process.heldAt() !== null || depth > 1 || after === null || !free) return
    // One that is looked for still is tried when that has ended.
    if (
      !after.paused &&
      !it.isBlocked() &&
      !it.isTroubled() &&
      !world.isSought() &&
      watch.waits.pending() &&
      watch.waiting(after)
    ) {
      violated('wake and reset try now (4)', `something waits after ${after.position}`)
    }
  }

  async function goOn(by: By, notices: boolean): Promise<void> {
    const { process, loseLease } = world.deliverers[by]
    if (process.heldAt() === null) return
    if (notices) loseLease(true)
    process.goOn()
    await world.quiet()
  }

  for (const one of schedule) await run(one)
  world.say(`  in the end everything goes on, and the remote ${remoteInWords(WELL)}`)
  for (const by of ['A', 'B'] as const) await goOn(by, true)
  await settle(world, tick)
}
