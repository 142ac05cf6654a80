/**
 * Rows written by hand: rooms, servers, memberships and events at positions of one's choosing, so that a
 * test says what the store holds instead of driving a daemon there.
 */
import { openPool, type Pool } from '../../../src/store/db.ts'
import { NOTHING_LEARNED, type Isolation } from '../../../src/store/isolation.ts'
import { freshDatabase } from '../../support/postgres.ts'

type Values = Record<string, unknown>

export interface EventOptions {
  to?: string[]
  alsoTo?: string[]
  notTo?: string[]
  /** Sticky for so many ms from now; negative: it lapsed so long ago. */
  sticky?: number
  receivedAgo?: number
}

const TABLES = [
  ...['attempts', 'audit', 'destinations', 'event_ids', 'events', 'gaps', 'memberships', 'open_transactions'],
  ...['planned_acts', 'skips', 'apart', 'waiting_rooms', 'given_up'],
  ...['recipients', 'replays', 'rooms', 'sticky', 'sticky_owed', 'workers'],
]
const RESET = `delete from cursors where name <> 'fanout'; ${TABLES.map((table) => `delete from ${table};`).join(' ')} update stream set head = 0`

export type Situation = Awaited<ReturnType<typeof makeSituation>>

export async function makeSituation() {
  const database = await freshDatabase()
  const pool: Pool = openPool({ url: database.url, max: 4 })
  const rooms = new Map<string, number>()
  const servers = new Map<string, number>()

  const one = async (sql: string, values: unknown[] = []) =>
    (await pool.query<Record<string, number>>(sql, values)).rows[0] ?? {}
  const insert = async (table: string, row: Values) => {
    const keys = Object.keys(row)
    const marks = keys.map((_, index) => `$${index + 1}`)
    await pool.query(
      `insert into ${table} (${keys.join(', ')}) values (${marks.join(', ')})`,
      Object.values(row),
    )
  }
  const now = async () => (await one('select now_ms() as now'))['now'] ?? 0
  const room = async (name: string) => {
    const known = rooms.get(name)
    if (known !== undefined) return known
    const { id = 0 } = await one('insert into rooms (room_id, known) values ($1, true) returning id', [
      `!${name}:us`,
    ])
    rooms.set(name, id)
    return id
  }
  /** A destination, by default with a port, so that it needs no discovery. */
  const server = async (name: string, row: Values = {}) => {
    const { id = 0 } = await one(
      'insert into destinations (name, position, created_at, lists) values ($1, 0, now_ms(), true) returning id',
      [name],
    )
    servers.set(name, id)
    await change(name, row)
    return id
  }
  const idOf = (name: string) => servers.get(name) ?? -1
  const change = async (name: string, row: Values) => {
    for (const [key, value] of Object.entries(row)) {
      await pool.query(`update destinations set ${key} = $2 where id = $1`, [idOf(name), value])
    }
  }
  const member = async (name: string, of: string, since = 0, until: number | null = null) =>
    insert('memberships', { room: await room(of), destination: idOf(name), since, until })
  const event = async (pos: number, of: string, options: EventOptions = {}) => {
    const { to, alsoTo = [], notTo = [], sticky, receivedAgo = 0 } = options
    const at = await now()
    let recipients: number | null = null
    if (to !== undefined || alsoTo.length + notTo.length > 0) {
      const { id = 0 } = await one(
        'insert into recipients (hash, exact, list, less, head) values ($1, $2, $3, $4, $5) returning id',
        [`hash${pos}`, to !== undefined, (to ?? alsoTo).map(idOf), notTo.map(idOf), pos],
      )
      recipients = id
    }
    const sticky_until = sticky === undefined ? null : at + sticky
    const roomId = await room(of)
    const event_id = `$${pos}`
    const received_ts = at - receivedAgo
    await insert('events', {
      pos,
      room: roomId,
      event_id,
      sender: '@alice:us',
      pdu: '{}',
      received_ts,
      sticky_until,
      recipients,
    })
    await insert('event_ids', { event_id, pos, at: received_ts })
    if (sticky_until !== null) await insert('sticky', { pos, room: roomId, expires_at: sticky_until })
    await pool.query('update rooms set head = $2 where id = $1', [roomId, pos])
    await pool.query('update stream set head = greatest(head, $1)', [pos])
  }
  const gap = async (name: string, from: number, to: number, row: Values = {}) =>
    insert('gaps', {
      destination: idOf(name),
      from_pos: from,
      to_pos: to,
      cursor: from,
      opened_at: (await now()) - 1000,
      ...row,
    })
  /** A sticky replay that is owed: for a join (`of`), or for a gap (`of` null). */
  const owe = async (name: string, of: string | null, row: Values) =>
    insert('sticky_owed', {
      destination: idOf(name),
      room: of === null ? null : await room(of),
      after_pos: 0,
      cursor: 0,
      created_at: await now(),
      ...row,
    })
  const replay = async (name: string, pos: number, state: string, row: Values = {}) =>
    insert('replays', { destination: idOf(name), pos, state, expires_at: 0, at: await now(), ...row })
  const attempt = async (name: string, seq: number, row: Values) =>
    insert('attempts', {
      destination: idOf(name),
      seq,
      at: await now(),
      txn_id: `txn${seq}`,
      duration_ms: 12,
      outcome: 'answered',
      status: 200,
      pdus: (row['positions'] as number[] | undefined)?.length ?? 0,
      edus: 0,
      positions: [],
      lanes: '',
      from_pos: 0,
      to_pos: 0,
      ...row,
    })
  /** An unanswered transaction; `lease`: of the worker that started it. */
  const open = async (
    name: string,
    row: Values & { positions: number[]; lanes: string },
    lease: 'held' | 'over' | 'of another' = 'over',
  ) => {
    const workers = await pool.query<{ id: string; other: string }>(
      'select gen_random_uuid() as id, gen_random_uuid() as other',
    )
    const { id: worker, other } = workers.rows[0]!
    const at = await now()
    for (const [id, called] of [
      [worker, 'box-1'],
      [other, 'box-2'],
    ]) {
      await insert('workers', { id, name: called, lease_until: lease === 'over' ? at - 1 : at + 600_000 })
    }
    await change(name, { lease_owner: lease === 'of another' ? other : worker })
    await insert('open_transactions', {
      destination: idOf(name),
      txn_id: 'open1',
      origin_server_ts: at,
      bytes: 2,
      created_at: at,
      started_at: at,
      worker,
      from_pos: 0,
      to_pos: 0,
      ...row,
    })
  }
  /** It is apart: set aside where `grp` is null. */
  const apart = async (name: string, pos: number, of: string, row: Values = {}) => {
    const at = await now()
    await insert('apart', {
      ...{ destination: idOf(name), pos, room: await room(of), lane: 't', since: at },
      ...{ next_at: row['grp'] == null ? at + 900_000 : null, ...row },
    })
    await learn(name, {})
  }
  /** The room waits: after `cursor`, held where that has a time. */
  const wait = async (name: string, of: string, row: Values & { cursor: number }) => {
    await insert('waiting_rooms', { destination: idOf(name), room: await room(of), ...row })
    await learn(name, {})
  }
  /** What refusals have taught of it. */
  const learn = async (name: string, what: Partial<Isolation>) =>
    pool.query(
      'update destinations set isolation = coalesce(isolation, $2::jsonb) || $3::jsonb where id = $1',
      [idOf(name), JSON.stringify({ ...NOTHING_LEARNED, apart: true }), JSON.stringify(what)],
    )
  /** Back to an empty store: quicker than another database. */
  const reset = async () => {
    rooms.clear()
    servers.clear()
    await pool.query(RESET)
  }
  const close = async () => {
    await pool.end()
    await database.drop()
  }
  return {
    reset,
    pool,
    now,
    room,
    server,
    idOf,
    change,
    member,
    event,
    gap,
    owe,
    replay,
    attempt,
    open,
    apart,
    wait,
    learn,
    insert,
    close,
  }
}
