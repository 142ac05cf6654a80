/**
 * How much WAL does an EDU cost, whatever the size of its room? A process with the role `ingest` alone takes batches of fifty, of each kind. Full-page
 * images are left out, which PostgreSQL writes at the first change of a page after a checkpoint: how many there are is chance. `pg_walinspect` knows their
 * size, and the batch in the middle counts, so that a vacuum or a checkpoint beside one of them does not.
 */
import type { Pool } from '../../src/store/db.ts'
import { median } from './compare-verdict.ts'
import { startDaemon, type Daemon } from './daemon.ts'
import { presenceItem, receiptItem, toDeviceItem, typingItem, userOf } from './edu-items.ts'
import type { Setting } from './setting.ts'

export type EduKind = 'receipts' | 'typing' | 'presence, two rooms' | 'to-device, 1 KB'

export interface EduWal {
  kind: EduKind
  /** In its room; in each of its rooms; on its list. */
  servers: number
  /** Of one EDU, bytes. */
  walBytes: number
  /** Of its content as it is stored, which is in the WAL too. */
  contentBytes: number
}

const SIZES = [50, 500, 5_000]
const BATCH = 50
const BATCHES = 21
/** Messages to each destination before it is measured. */
const ROUNDS = 3
const TO_DEVICE_BYTES = 700

const roomOf = (servers: number) => `!of${servers}:home.example`
const secondRoomOf = (servers: number) => `!also-of${servers}:home.example`

const KINDS: Record<EduKind, (servers: number, n: number) => string> = {
  receipts: (servers, n) => receiptItem(roomOf(servers), userOf(n % 1_000), n),
  typing: (servers, n) => typingItem(roomOf(servers), userOf(n % 1_000), n % 2 === 0),
  'presence, two rooms': (servers, n) =>
    presenceItem([roomOf(servers), secondRoomOf(servers)], userOf(n % 1_000), n),
  'to-device, 1 KB': (servers, n) =>
    toDeviceItem(`s${n % servers}.example`, userOf(n % 100), { n, bytes: TO_DEVICE_BYTES }),
}

export async function measureEduWal(
  setting: Setting,
  { queue, database, profile }: { queue: string; database: string; profile?: string | undefined },
): Promise<EduWal[]> {
  const { url, pool } = await setting.database(database)
  const daemon = await startDaemon(setting, { databaseUrl: url, queue, roles: 'ingest', profile })
  try {
    await pool.query('create extension pg_walinspect')
    await openRoomsOf(daemon)
    const measured: EduWal[] = []
    let n = 0
    const give = async (kind: EduKind, servers: number) => {
      await daemon.ingest(Array.from({ length: BATCH }, () => KINDS[kind](servers, (n += 1))))
    }
    for (const kind of Object.keys(KINDS) as EduKind[]) {
      for (const servers of SIZES) {
        // Sets of rooms and lists of servers are stored with the first who need them; and the rows of lists move until each page has room for their changes.
        const before = kind === 'to-device, 1 KB' ? (ROUNDS * servers) / BATCH : 1
        for (let batch = 0; batch < before; batch += 1) await give(kind, servers)
        const head = await headOf(pool)
        const each: number[] = []
        while (each.length < BATCHES) each.push((await walOf(pool, () => give(kind, servers))) / BATCH)
        const contentBytes = await contentSince(pool, head)
        measured.push({ kind, servers, walBytes: median(each), contentBytes })
      }
    }
    return measured
  } finally {
    await daemon.stop()
    await pool.end()
  }
}

async function openRoomsOf(daemon: Daemon): Promise<void> {
  for (const servers of SIZES) {
    const set = Array.from({ length: servers }, (_, i) => `s${i}.example`)
    for (const room_id of [roomOf(servers), secondRoomOf(servers)])
      await daemon.ingest([JSON.stringify({ type: 'servers', room_id, set })])
  }
}

const headOf = async (pool: Pool): Promise<number> =>
  (await pool.query<{ head: number }>('select head from stream')).rows[0]?.head ?? NaN

async function contentSince(pool: Pool, head: number): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    'select avg(octet_length(content))::float8 as bytes from edus where pos > $1',
    [head],
  )
  return rows[0]?.bytes ?? NaN
}

/** Of all that `work` brings about, padding included, without full-page images. */
async function walOf(pool: Pool, work: () => Promise<void>): Promise<number> {
  const position = async () =>
    (await pool.query<{ at: string }>('select pg_current_wal_insert_lsn()::text as at')).rows[0]?.at
  const from = await position()
  await work()
  const { rows } = await pool.query<{ bytes: number }>(
    `select (pg_wal_lsn_diff($2::pg_lsn, $1::pg_lsn) - sum(fpi_size))::float8 as bytes from pg_get_wal_stats($1::pg_lsn, $2::pg_lsn)`,
    [from, await position()],
  )
  return rows[0]?.bytes ?? NaN
}
