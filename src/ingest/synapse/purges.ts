/**
 * Which rooms has Synapse purged? (By the admin API's deletion of a room, or because everybody has forgotten it.)
 *
 * A purge deletes the room's rows and writes nothing in their place, so limpet sees it by what is missing: a room that
 * it knows has no row in `rooms` any more. The purge is passed on a while later, because the users' leaves come just
 * before it and should reach the servers that are up. If a room begins again and has no older event, it was purged
 * meanwhile.
 *
 * This costs one statement a look while no room comes or goes. All rooms are compared only if the digest of Synapse's
 * rooms has changed, if some are gone and wait, or if the last comparison was ten minutes ago (a room may be told
 * after it has gone).
 */
import type { Clock } from '../../pace/clock.ts'
import type { Pool } from '../../store/db.ts'
import type { ToldRoom } from '../../store/ingest/told-rooms.ts'
import { planned } from './planned.ts'

/** The rooms that limpet was told. */
export interface ToldRooms {
  page(after: number, limit: number): Promise<readonly ToldRoom[]>
  among(roomIds: readonly string[]): Promise<readonly string[]>
}

export interface PurgeNeeds {
  /** Synapse's database. */
  readonly pool: Pool
  readonly told: ToldRooms
  readonly clock: Clock
  /** How often all rooms are looked through, ms. Default 30,000. */
  readonly everyMs?: number | undefined
  /** How long a room must have been gone, ms. Default 60,000. */
  readonly graceMs?: number | undefined
}

export interface Purges {
  /** The rooms to be purged now; none in between the times at which it looks. */
  due(): Promise<string[]>
  /** Of rooms whose state began anew after `after`, those that limpet knows from before a purge. */
  reborn(roomIds: readonly string[], after: number): Promise<readonly string[]>
  /** Those of `roomIds` that limpet knows. */
  toldAmong(roomIds: readonly string[]): Promise<readonly string[]>
}

const PAGE = 10_000
const COMPARE_EVERY_MS = 600_000

// The hash is PostgreSQL's own and is compared within one process only.
const SELECT_DIGEST = planned(
  'digest of the rooms',
  `select count(*) || ' ' || coalesce(sum(hashtext(room_id)::bigint), 0) as digest from rooms`,
)

const SELECT_GONE = planned(
  'which rooms are gone',
  `select r as room_id from unnest($1::text[]) as r where not exists (select from rooms where room_id = r)`,
)

// What comes back by backfill after a purge has orderings below zero.
const SELECT_YOUNG = planned(
  'which rooms are young',
  `select r as room_id from unnest($1::text[]) as r
   where not exists (select from events where room_id = r and stream_ordering > 0 and stream_ordering <= $2)`,
)

export function makePurges({ pool, told, clock, everyMs = 30_000, graceMs = 60_000 }: PurgeNeeds): Purges {
  let gone = new Map<string, number>()
  let checkAt = -Infinity
  let compareAt = -Infinity
  let compared: string | null = null

  async function check(): Promise<void> {
    const now = clock.monotonic()
    const digest = (await pool.query<{ digest: string }>(SELECT_DIGEST)).rows[0]?.digest ?? ''
    if (digest === compared && gone.size === 0 && now < compareAt) return
    await compare()
    ;[compared, compareAt] = [digest, now + COMPARE_EVERY_MS]
  }

  async function compare(): Promise<void> {
    const found = new Map<string, number>()
    for (let after = 0; ;) {
      const page = await told.page(after, PAGE)
      const ids = page.map(({ roomId }) => roomId)
      const { rows } = await pool.query<{ room_id: string }>(SELECT_GONE, [ids])
      for (const { room_id } of rows) found.set(room_id, gone.get(room_id) ?? clock.monotonic())
      const last = page.at(-1)
      if (last === undefined || page.length < PAGE) break
      after = last.id
    }
    gone = found
  }

  return {
    toldAmong: (roomIds) => told.among(roomIds),
    async due() {
      if (clock.monotonic() < checkAt) return []
      await check()
      const now = clock.monotonic()
      checkAt = now + everyMs
      return [...gone].filter(([, since]) => now - since >= graceMs).map(([roomId]) => roomId)
    },
    async reborn(roomIds, after) {
      if (roomIds.length === 0) return []
      const { rows } = await pool.query<{ room_id: string }>(SELECT_YOUNG, [roomIds, after])
      const young = new Set(rows.map((row) => row.room_id))
      return told.among(roomIds.filter((roomId) => young.has(roomId) || gone.has(roomId)))
    },
  }
}
