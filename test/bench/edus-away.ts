/**
 * A destination that was away for a day, in which 100,000 typing notifications, receipts and changes of presence were for it, and 5,000 to-device messages of a
 * hundred senders. What does it cost to bring it back, and what comes first? The database's clock is put forward while the items are given, so that they
 * are spread over the day; that the destination has failed since it began is written with SQL.
 */
import type { Pool } from '../../src/store/db.ts'
import { until } from '../support/poll.ts'
import { machineMs } from './child.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { presenceItem, receiptItem, toDeviceItem, typingItem, userOf } from './edu-items.ts'
import { makeEvents } from './events.ts'
import type { Fleet } from './fleet.ts'
import type { Received } from './receivers.ts'
import { forgetPeak, resident, type Resident } from './resident.ts'
import type { Setting } from './setting.ts'
import { ASIDE, dearestStatements, resetStatements } from './statements.ts'
import { beginWindow, type Window } from './window.ts'

export interface EdusAway {
  ephemeral: number
  messages: number
  /** How long ingest took for all of them, s. */
  givenIn: number
  /** From the `resume` to the last transaction, s. */
  seconds: number
  transactions: number
  bytes: number
  sticky: number
  /** Transactions from the first one on that it took until every sticky event was there, and until every message was. */
  stickyWithin: number
  messagesWithin: number
  /** Messages that came at their place: each after the one that was given before it, once. */
  inOrder: number
  /** EDUs that came beside them. */
  others: number
  window: Window
  residentBefore: Resident | null
  resident: Resident | null
}

export interface EdusAwayOptions {
  queue: string
  database: string
  profile?: string | undefined
  statements?: ((text: string) => void) | null
}

const DAY_MS = 86_400_000
const [EPHEMERAL, MESSAGES, SENDERS, STICKY] = [100_000, 5_000, 100, 2]
const ROOMS = 30
/** In every room, beside it; paused. */
const OTHERS = Array.from({ length: 20 }, (_, i) => `other${i}.example`)
const ITEMS_A_REQUEST = 1_000
const TO_DEVICE_BYTES = 700

const roomOf = (n: number) => `!away${n % ROOMS}:home.example`

export async function measureEdusAway(
  setting: Setting,
  fleet: Fleet,
  options: EdusAwayOptions,
): Promise<EdusAway> {
  const { queue, profile } = options
  const { url, pool } = await setting.database(options.database)
  const [name = ''] = fleet.names
  try {
    const givenIn = await giveADay(setting, { url, queue, pool, name })
    const daemon = await startDaemon(setting, {
      databaseUrl: url,
      queue,
      roles: 'ingest,deliver,housekeep',
      profile,
    })
    try {
      return { givenIn, ...(await bringBack(setting, fleet, { daemon, pool, name, options })) }
    } finally {
      await daemon.stop()
    }
  } finally {
    await pool.end()
  }
}

/** Returns how long ingest took, s. */
async function giveADay(
  setting: Setting,
  { url, queue, pool, name }: { url: string; queue: string; pool: Pool; name: string },
): Promise<number> {
  // Without the other roles, which hold leases: those would not outlast such a clock.
  const daemon = await startDaemon(setting, { databaseUrl: url, queue, roles: 'ingest' })
  try {
    await setClock(pool, -DAY_MS)
    const set = [name, ...OTHERS]
    const rooms = Array.from({ length: ROOMS }, (_, i) => roomOf(i))
    await daemon.ingest(rooms.map((room_id) => JSON.stringify({ type: 'servers', room_id, set })))
    await pool.query('update destinations set paused = true')
    await pool.query(FAILS, [name])
    const items = itemsOf(name)
    const began = performance.now()
    for (let at = 0; at < items.length; at += ITEMS_A_REQUEST) {
      await setClock(pool, -DAY_MS * (1 - at / items.length))
      await daemon.ingest(items.slice(at, at + ITEMS_A_REQUEST))
    }
    const givenIn = (performance.now() - began) / 1000
    await setClock(pool, 0)
    const event = makeEvents(setting.key)
    await daemon.ingest(
      Array.from({ length: STICKY }, (_, i) => event(roomOf(i), { stickyMs: 600_000 }).item),
    )
    await pool.query('vacuum analyze')
    return givenIn
  } finally {
    await daemon.stop()
  }
}

/** Messages evenly between the others. */
function itemsOf(name: string): string[] {
  const every = (EPHEMERAL + MESSAGES) / MESSAGES
  return Array.from({ length: EPHEMERAL + MESSAGES }, (_, i) => {
    if (i % every === every - 1) {
      const n = (i + 1) / every
      return toDeviceItem(name, userOf(n % SENDERS), { n, bytes: TO_DEVICE_BYTES })
    }
    const user = userOf((i * 7) % 1_000)
    if (i % 3 === 0) return typingItem(roomOf(i), user, i % 2 === 0)
    return i % 3 === 1 ? receiptItem(roomOf(i), user, i) : presenceItem([roomOf(i), roomOf(i + 7)], user, i)
  })
}

const setClock = (pool: Pool, offsetMs: number) =>
  pool.query(
    `insert into settings (key, value) values ('clock_offset_ms', $1) on conflict (key) do update set value = excluded.value`,
    [String(Math.round(offsetMs))],
  )

// It is due: the operator's `resume` is all that it waits for.
const FAILS = `
  update destinations set failures = 20, failing_since = now_ms(), retry_at = now_ms(), retry_interval = 3600000,
         last_success = now_ms() - 1000, quick = true
   where name = $1`

async function bringBack(
  setting: Setting,
  fleet: Fleet,
  given: { daemon: Daemon; pool: Pool; name: string; options: EdusAwayOptions },
): Promise<Omit<EdusAway, 'givenIn'>> {
  const { daemon, pool, name, options } = given
  const counted = `select ${ASIDE} from cursors where name = 'counted_at'`
  await until(async () => (await pool.query(counted)).rowCount === 1, { what: 'the first sweep' })
  const residentBefore = resident(daemon.pid)
  forgetPeak(daemon.pid)
  await fleet.record(true)
  await resetStatements(pool)
  const pids = { limpet: daemon.pid, postgres: setting.postgres.pid() }
  const end = await beginWindow({ fleet, pids, pool })
  const began = machineMs()
  await daemon.act(name, 'resume')
  await through(pool, name)
  const window = await end()
  const memory = resident(daemon.pid)
  options.statements?.(await dearestStatements(pool))
  const received = await fleet.received()
  await fleet.record(false)
  return {
    ...{ ephemeral: EPHEMERAL, messages: MESSAGES, seconds: ((received.at(-1)?.at ?? NaN) - began) / 1000 },
    ...whatCame(received),
    ...{ window, residentBefore, resident: memory },
  }
}

function whatCame(received: readonly Received[]) {
  const numbers = received.flatMap(({ messages }) => messages)
  const sum = (of: (one: Received) => number) => received.reduce((all, one) => all + of(one), 0)
  return {
    transactions: received.length,
    bytes: sum(({ bytes }) => bytes),
    sticky: sum(({ sticky }) => sticky),
    stickyWithin: received.findLastIndex(({ sticky }) => sticky > 0) + 1,
    messagesWithin: received.findLastIndex(({ messages }) => messages.length > 0) + 1,
    inOrder: numbers.filter((n, i) => n === i + 1).length,
    others: sum(({ edus, messages }) => edus - messages.length),
  }
}

/** Resolves when nothing is owed to it any more. */
async function through(pool: Pool, name: string): Promise<void> {
  const isThrough = `select ${ASIDE} from destinations d, stream s where d.name = $1 and d.position >= s.head and d.durable_pos >= s.durable_head and d.ephemeral_pos >= s.edu_head`
  await until(async () => (await pool.query(isThrough, [name])).rowCount === 1, {
    what: 'the destination to have got everything',
    withinMs: 180_000,
    everyMs: 50,
  })
}
