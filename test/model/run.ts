/**
 * Runs one schedule on one driver under the reference model's eyes, then lets everything settle.
 */
import type { SendFailed, SendResult } from '../../src/wire/send.ts'
import type { Driver, Hooks, ModelItem, Server } from './driver.ts'
import { SETTINGS } from './driver.ts'
import { makeHistory } from './history.ts'
import { HOUR, type Audience, type Command, type Remote } from './schedule.ts'
import { makeWatch, violated } from './watch.ts'

/** A worker that dies in the middle of a look. */
class Death extends Error {}

const WELL: Remote = { does: 'answers', lists: 'all', takesMs: 40 }

/** Prefixes event ids, so that many schedules fit into one database. */
let schedules = 0

/** Throws a `Violation` where limpet does what it must not. */
export async function runSchedule(driver: Driver, schedule: readonly Command[]): Promise<void> {
  const history = makeHistory()
  const watch = makeWatch(history)
  const prefix = (schedules += 1)
  let remote = WELL
  let made = 0
  let inLook = 0

  async function append(items: ModelItem[]): Promise<void> {
    if (items.length === 0) return
    const { last, now } = await driver.append(items)
    for (const [index, item] of items.entries()) {
      const pos = last - items.length + 1 + index
      if (item.type === 'servers' && item.add.includes('us')) watch.freed('join', now)
      history.take(item, pos, now)
    }
  }

  const event = (room: number, audience: Audience, stickyMs: number | null, size: number): ModelItem => {
    const eventId = `$${prefix}-${(made += 1)}`
    const to: Server[] | null = audience === 'to us' ? ['us'] : audience === 'to nobody' ? [] : null
    return {
      type: 'event',
      room,
      eventId,
      pdu: JSON.stringify({ id: eventId, text: 'x'.repeat(size) }),
      stickyMs,
      to,
      alsoTo: audience === 'also to us' ? ['us', 'other'] : [],
      notTo: audience === 'not to us' ? ['us'] : [],
    }
  }
  const servers = (room: number, add: Server[], remove: Server[]): ModelItem => ({
    type: 'servers',
    room,
    add,
    remove,
  })

  async function run(one: Command): Promise<void> {
    switch (one.do) {
      case 'append':
        return append(
          Array.from({ length: one.count }, () => event(one.room, one.audience, one.stickyMs, one.size)),
        )
      case 'join':
        return append(history.inRoomNow(one.room) ? [] : [servers(one.room, ['us'], [])])
      case 'leave':
        return append(history.inRoomNow(one.room) ? [servers(one.room, [], ['us'])] : [])
      case 'rejoin':
        return append([
          ...(history.inRoomNow(one.room) ? [servers(one.room, [], ['us'])] : []),
          servers(one.room, ['us'], []),
        ])
      case 'kick':
        if (!history.inRoomNow(one.room)) return
        return append([event(one.room, 'room', null, 60), servers(one.room, [], ['us'])])
      case 'purge':
        return append([{ type: 'purge', room: one.room }])
      case 'redact': {
        const target = history.all().at(-1 - one.back)
        if (target === undefined || target.purgedAt !== null) return
        const pdu = JSON.stringify({ id: target.eventId, redacted: true })
        return append([{ type: 'redact', eventId: target.eventId, pdu }])
      }
      case 'clock':
        if (one.byMs < 0) watch.freed('clock', 0)
        await driver.moveClock(one.byMs)
        watch.seen(await driver.now())
        return
      case 'remote':
        remote = one.remote
        return
      case 'operator':
        if ((await driver.wish(one.wish)) && (one.wish === 'wake' || one.wish === 'reset')) {
          watch.freed(one.wish, await driver.now())
        }
        return
      case 'server up':
        watch.freed('server up', await driver.now())
        return driver.serverUp()
      case 'worker dies':
        return driver.newWorker()
      case 'look':
        for (let times = 0; times < one.times; times += 1) await look(plain)
        return
      case 'wait and look': {
        const view = await driver.view()
        const wait = view?.lookAt == null ? 0 : view.lookAt - view.now
        if (wait > 0 && wait <= 2 * HOUR) await driver.moveClock(wait)
        await look(plain)
        return
      }
      case 'look, and': {
        let happened = false
        await look(async (moment, abort) => {
          if (moment !== one.when || happened) return
          happened = true
          for (const inner of one.happens) await run(inner)
          if (one.then === 'dies') throw new Death()
          if (one.then !== 'is overtaken' || inLook > 1) return
          await driver.newWorker()
          await look(plain)
          abort()
        })
        return
      }
    }
  }

  type At = (
    moment: 'before it is frozen' | 'under way' | 'before it is written down',
    abort: () => void,
  ) => Promise<void>
  const plain: At = () => Promise.resolve()

  async function look(at: At): Promise<'sent' | 'nothing' | 'lost'> {
    inLook += 1
    watch.look(await driver.view())
    let answer: { result: SendResult; listed: (eventId: string) => boolean } | null = null
    let aborted = false
    const abort = () => {
      aborted = true
    }
    const hooks: Hooks = {
      beforeFreeze: () => at('before it is frozen', abort),
      frozen: async (view) => watch.frozen(view, await driver.view()),
      send: async (request) => {
        watch.request(request, await driver.now())
        const told = answerOf(remote, request.body)
        await driver.moveClock(told.result.durationMs)
        await at('under way', abort)
        if (aborted) return ABORTED
        answer = told
        return told.result
      },
      beforeWritten: () => at('before it is written down', abort),
    }
    try {
      const looked = await driver.look(hooks)
      const view = await driver.view()
      const head = view?.head ?? 0
      const told = answer as { result: SendResult; listed: (eventId: string) => boolean } | null
      if (looked === 'sent' && told !== null) {
        watch.written(told.result, { head, listed: told.listed })
      }
      watch.looked(looked, view)
      return looked
    } catch (error) {
      if (!(error instanceof Death)) throw error
      await driver.newWorker()
      return 'lost'
    } finally {
      inLook -= 1
    }
  }

  /** Looks until there is nothing to do. */
  async function lookOn(): Promise<void> {
    for (let looks = 0; (await look(plain)) !== 'nothing'; looks += 1) {
      watch.moved(await driver.view(), await driver.now())
      if (looks > 300) violated('settled', 'it never comes to rest')
    }
  }

  async function settle(): Promise<void> {
    remote = WELL
    await driver.wish('resume')
    if (await driver.wish('reset')) watch.freed('reset', await driver.now())
    await lookOn()
    watch.moved(await driver.view(), await driver.now())
    watch.settled(await driver.view(), { listed: false })
    for (let waits = 0; waits < 60; waits += 1) {
      const view = await driver.view()
      if (view?.lookAt == null || view.lookAt > view.now + 2 * HOUR) break
      await driver.moveClock(view.lookAt - view.now)
      await lookOn()
    }
    watch.settled(await driver.view(), { listed: true })
  }

  for (const one of schedule) {
    await run(one)
    watch.moved(await driver.view(), await driver.now())
  }
  await settle()
}

const ABORTED: SendFailed = {
  kind: 'failed',
  stage: 'aborted',
  status: null,
  errcode: null,
  retryAfterMs: null,
  message: 'cut off',
  durationMs: 0,
  handed: true,
}

function answerOf(
  remote: Remote,
  body: string,
): { result: SendResult; listed: (eventId: string) => boolean } {
  const failed = (over: Partial<SendFailed>): SendFailed => ({
    ...ABORTED,
    message: 'as the schedule says',
    durationMs: 40,
    ...over,
  })
  const none = () => false
  switch (remote.does) {
    case 'refuses the connection':
      return { result: failed({ stage: 'connect', handed: false }), listed: none }
    case 'times out':
      return { result: failed({ stage: 'timeout', durationMs: SETTINGS.requestTimeoutMs }), listed: none }
    case 'drops the answer':
      return { result: failed({ stage: 'protocol' }), listed: none }
    case 'fails': {
      const { status, retryAfterMs } = remote
      return { result: failed({ stage: 'http', status, retryAfterMs }), listed: none }
    }
    case 'answers': {
      const { lists, takesMs } = remote
      if (lists === 'without pdus') {
        return { result: { kind: 'answered', pdus: null, durationMs: takesMs }, listed: () => true }
      }
      const listsIt = (id: string) => lists === 'all' || (lists === 'odd ids' && Number(id.at(-1)) % 2 === 1)
      const { pdus } = JSON.parse(body) as { pdus: { id: string }[] }
      const listed = pdus.filter(({ id }) => listsIt(id)).map(({ id }) => id)
      return {
        result: {
          kind: 'answered',
          pdus: new Map(listed.map((id) => [id, { error: null }])),
          durationMs: takesMs,
        },
        listed: listsIt,
      }
    }
  }
}
