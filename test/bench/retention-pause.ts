/**
 * How long does ingest stop while a part of the log goes that somebody reads? Events are appended one after another,
 * first with nothing beside them, then while a session reads the log for `readerMs` and retention takes the oldest
 * partition away. What is told is the longest time between two acknowledgements.
 *
 * `plain` takes the partition away as one would without thinking: it shows what the figure is worth.
 */
import { randomBytes } from 'node:crypto'
import { makeAppend } from '../../src/ingest/append.ts'
import { parseItem } from '../../src/ingest/parse-item.ts'
import { makePdu } from '../../src/matrix/make-pdu.ts'
import { generateKey } from '../../src/matrix/signing.ts'
import { parseJson } from '../../src/matrix/strict-json.ts'
import { makeLog } from '../../src/observe/log.ts'
import { openPool } from '../../src/store/db.ts'
import { listPartitions } from '../../src/store/upkeep/log-partitions.ts'
import { makeRetention } from '../../src/store/upkeep/retention.ts'

export interface RetentionPause {
  /** Longest time between two acknowledgements, ms, with nothing beside, and while the partition goes. */
  aloneMs: number
  longestMs: number
  /** Events appended while it went. */
  appended: number
  /** How long it took from the beginning of the read until the partition was dropped, ms. */
  goneAfterMs: number
}

export interface RetentionPauseOptions {
  /** A database with limpet's schema and nothing in it. */
  url: string
  readerMs: number
  /** How long it is measured with nothing beside, ms. */
  aloneMs?: number
  /** Events in the partition that goes. */
  events?: number
  plain?: boolean
}

const DAY_MS = 86_400_000
const SERVER = 'home.example'
const ROOM = `!room:${SERVER}`

export async function measureRetentionPause(options: RetentionPauseOptions): Promise<RetentionPause> {
  const { url, readerMs, aloneMs = 5_000, events = 50_000, plain = false } = options
  const pool = openPool({ url, max: 6 })
  const { key } = generateKey(randomBytes)
  const log = makeLog({ level: 'silent', pretty: false })
  const append = makeAppend({
    pool,
    serverName: SERVER,
    maxStickyMs: 3_600_000,
    random: Math.random,
    onTaken: () => undefined,
  })
  const parsing = { serverName: SERVER, stickyFieldNames: ['msc4354_sticky'] }
  let made = 0
  const event = () => {
    const content = { msgtype: 'm.text', body: `${(made += 1)} ${'x'.repeat(500)}` }
    const from = { roomId: ROOM, type: 'm.room.message', sender: `@a:${SERVER}`, originServerTs: Date.now() }
    const { eventId: event_id, pdu } = makePdu({ ...from, content }, key, '11')
    return { type: 'event', room_id: ROOM, room_version: '11', event_id, pdu }
  }
  const take = async (items: object[]) => {
    const parsed = items.map((item, n) => parseItem(parseJson(JSON.stringify(item)), n, parsing))
    const request = { source: 'bench', sourceToken: undefined, ifSourceToken: undefined, items: parsed }
    const result = await append(request)
    if (result.kind !== 'taken') throw new Error(`ingest: ${result.kind}`)
  }
  /** Appends one by one until `over`; the longest time between two acknowledgements. */
  async function appendUntil(over: () => boolean): Promise<{ longestMs: number; appended: number }> {
    let longestMs = 0
    let appended = 0
    let last = performance.now()
    while (!over()) {
      await take([event()])
      const now = performance.now()
      longestMs = Math.max(longestMs, now - last)
      last = now
      appended += 1
    }
    return { longestMs, appended }
  }

  try {
    await take([
      { type: 'servers', room_id: ROOM, set: Array.from({ length: 50 }, (_, n) => `s${n}.example`) },
    ])
    for (let left = events; left > 0; left -= 500) {
      await take(Array.from({ length: Math.min(500, left) }, event))
    }
    let ahead = 0
    const later = async (ms: number) => {
      ahead += ms
      await pool.query(
        `insert into settings (key, value) values ('clock_offset_ms', $1) on conflict (key) do update set value = excluded.value`,
        [String(ahead)],
      )
    }
    const [oldest] = await listPartitions(pool)
    const started = performance.now()
    const alone = await appendUntil(() => performance.now() - started > aloneMs)
    const settings = { events_ms: 7 * DAY_MS, event_ids_ms: 30 * DAY_MS, newest_event_ms: 90 * DAY_MS }
    // The process's clock and the database's move alike: both are put forward.
    const retain = makeRetention({
      pool,
      settings,
      log,
      clock: { monotonic: () => performance.now() + ahead },
    })
    await retain()
    await later(8 * DAY_MS)
    // Begins the next partition, else what is appended from now on would keep this one young.
    await retain()
    await later(8 * DAY_MS)

    const begun = performance.now()
    let gone = false
    const reader = pool.query(
      `select count(*), max(w.slept) from events, (select pg_sleep($1)::text as slept) w`,
      [readerMs / 1000],
    )
    const going = (async () => {
      // The reader is to be reading.
      await new Promise((resolve) => setTimeout(resolve, 200))
      if (plain) await pool.query(`drop table ${oldest?.name ?? ''}`)
      else
        while (!(await retain())?.dropped.includes(oldest?.name ?? ''))
          await new Promise((r) => setTimeout(r, 500))
    })().finally(() => (gone = true))
    const { longestMs, appended } = await appendUntil(() => gone)
    await going
    const goneAfterMs = performance.now() - begun
    await reader
    return { aloneMs: alone.longestMs, longestMs, appended, goneAfterMs }
  } finally {
    await pool.end()
  }
}
