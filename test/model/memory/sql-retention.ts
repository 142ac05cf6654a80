/** `store/{settle-destinations,kept-events,forget-old}.ts`: what leaves the log, and what is spared. */
import { isBehind, lives, openGapOf, putGap } from './rules.ts'
import { keyOf, type DestinationRow } from './rows.ts'
import { oldUpTo } from './sql-seen.ts'
import { statement, type Call, type Statement } from './statement.ts'

/** The positions that unanswered transactions are made of. */
const openPositions = ({ t }: Call): Set<number> =>
  new Set(
    t.open_transactions
      .all()
      .filter((one) => !one.void)
      .flatMap(({ positions }) => positions),
  )

const floorOf = ({ t }: Call): number => t.stream.get(1)?.log_floor ?? 0

/** Nothing came in its rooms, nothing was addressed to it, nothing of its is open. */
function isQuiet(call: Call, d: DestinationRow): boolean {
  const { t } = call
  return !isBehind(t, d) && openGapOf(t, d.id) === undefined && t.open_transactions.get(d.id) === undefined
}

const settle: Statement[] = [
  statement<[number]>(
    'who is quiet',
    /^select d\.id, d\.fence from destinations d where d\.position < \$1/,
    (call, upto) =>
      call.t.destinations
        .all()
        .filter((d) => d.position < upto && d.lease_owner === null && isQuiet(call, d))
        .map(({ id, fence }) => ({ id, fence })),
  ),
  statement<[number, number[], number[]]>(
    'move the quiet on',
    /^with locked as \( select d\.id from destinations d join unnest\(\$2::int\[\]/,
    ({ t }, upto, ids, fences) => {
      let moved = 0
      for (const [i, id] of ids.entries()) {
        const d = t.destinations.get(id)
        if (d === undefined || d.position >= upto || d.lease_owner !== null || d.fence !== fences[i]) continue
        t.destinations.change(id, { position: upto })
        moved += 1
      }
      return moved
    },
  ),
  statement<[number]>(
    'who needs what goes',
    /^select d\.id from destinations d where d\.position < \$1 and not exists \(select 1 from gaps/,
    ({ t }, upto) =>
      t.destinations
        .all()
        .filter((d) => d.position < upto && !((openGapOf(t, d.id)?.to_pos ?? -1) >= upto))
        .sort((a, b) => a.id - b.id)
        .map(({ id }) => ({ id })),
  ),
  statement<[number]>(
    'lock who needs it',
    /^with locked as \(select position, lease_owner from destinations where id = \$1 for update\)/,
    ({ t, now }, id) => {
      t.destinations.lock(id)
      const d = t.destinations.get(id)
      if (d === undefined) return []
      return [{ position: d.position, owned: d.lease_owner !== null, held: lives(t, d.lease_owner, now) }]
    },
  ),
  statement<[number]>('what is open of it', /^select g\.id as gap, g\.to_pos as gap_to/, ({ t }, id) => {
    const gap = openGapOf(t, id)
    const open = t.open_transactions.get(id)
    return [
      {
        ...{ gap: gap?.id ?? null, gap_to: gap?.to_pos ?? null, open_gap: open?.gap ?? null },
        ...{ open_to: open?.to_pos ?? null, open: open !== undefined },
      },
    ]
  }),
  statement<[number, number, number]>(
    'retention opens a gap',
    /^with gap as \( insert into gaps/,
    (call, id, from, to) => {
      putGap(call, id, from, to)
      return 1
    },
  ),
  statement<[number, number]>(
    'retention moves it on',
    /^update destinations set position = \$2 where id = \$1$/,
    ({ t }, id, position) => {
      t.destinations.change(id, { position })
      return 1
    },
  ),
  statement<[number, number]>(
    'retention moves what is open',
    /^update open_transactions set from_pos = \$2/,
    ({ t }, id, upto) => {
      const open = t.open_transactions.get(id)
      if (open === undefined) return 0
      t.open_transactions.change(id, { from_pos: upto, to_pos: Math.max(open.to_pos, upto) })
      return 1
    },
  ),
  statement<[number]>(
    'retention takes it from the dead',
    /^update destinations set lease_owner = null, follows = false(, fence = fence \+ 1)? where id = \$1$/,
    ({ t }, id) => {
      t.destinations.change(id, { lease_owner: null, follows: false })
      return 1
    },
  ),
  statement<[number, number]>(
    'retention extends the gap',
    /^update gaps set to_pos = \$2 where id = \$1$/,
    ({ t }, gap, to) => {
      t.gaps.change(gap, { to_pos: to })
      return 1
    },
  ),
  statement<[number, number]>(
    'its answer closes no gap',
    /^update open_transactions set closes_gap = false/,
    ({ t }, id, gap) => {
      const open = t.open_transactions.get(id)
      if (open?.gap !== gap || !open.closes_gap) return 0
      t.open_transactions.change(id, { closes_gap: false, to_pos: open.from_pos })
      return 1
    },
  ),
]

const kept: Statement[] = [
  statement<[number]>('which gaps need it', /^select g\.destination, g\.from_pos as from/, ({ t }, upto) =>
    t.gaps
      .all()
      .flatMap((gap) => {
        const cursor = Math.max(gap.cursor, t.destinations.get(gap.destination)?.position ?? 0)
        if (gap.closed_at !== null || cursor >= upto) return []
        return [{ destination: gap.destination, from: gap.from_pos, to: gap.to_pos, cursor }]
      })
      .sort((a, b) => a.destination - b.destination),
  ),
  statement<[number]>(
    'what unanswered transactions need',
    /^select distinct p as pos from open_transactions/,
    (call, upto) => [...openPositions(call)].filter((pos) => pos <= upto).map((pos) => ({ pos })),
  ),
  statement<[number[], number]>(
    'what is too old to be kept',
    /^select k\.pos from kept_events k where k\.pos = any\(\$1\) and k\.pos <= coalesce/,
    ({ t }, positions, age) =>
      positions
        .filter((pos) => t.kept_events.get(pos) !== undefined && pos <= oldUpTo(t, age))
        .sort((a, b) => a - b)
        .map((pos) => ({ pos })),
  ),
  statement<[number[]]>(
    'give up',
    /^delete from kept_events k where k\.pos = any\(\$1\) .* returning k\.pos$/,
    (call, positions) => {
      const open = openPositions(call)
      const gone = positions.filter((pos) => call.t.kept_events.get(pos) !== undefined && !open.has(pos))
      for (const pos of gone) call.t.kept_events.delete(pos)
      return gone.map((pos) => ({ pos }))
    },
  ),
  statement<[number[]]>(
    'keep',
    /^insert into kept_events \(.*\) select .* from events where pos = any\(\$1\)/,
    ({ t }, positions) => {
      const rows = positions
        .flatMap((pos) => t.events.get(pos) ?? [])
        .filter(({ pos }) => t.kept_events.get(pos) === undefined)
      for (const row of rows) t.kept_events.put(row.pos, row)
      return rows.length
    },
  ),
  statement<[number]>(
    'keep what is unanswered now',
    /^insert into kept_events \(.*\) select .* from \( select distinct p\.pos/,
    (call, upto) => {
      const rows = [...openPositions(call)]
        .filter((pos) => pos <= upto && call.t.kept_events.get(pos) === undefined)
        .flatMap((pos) => call.t.events.get(pos) ?? [])
      for (const row of rows) call.t.kept_events.put(row.pos, row)
      return rows.length
    },
  ),
  statement<[number[]]>(
    'what is kept and needed no longer',
    /^select k\.pos from kept_events k where not exists/,
    ({ t }, needed) =>
      t.kept_events
        .all()
        .filter(({ pos }) => !needed.includes(pos))
        .sort((a, b) => a.pos - b.pos)
        .map(({ pos }) => ({ pos })),
  ),
  statement<[number[]]>(
    'keep no longer',
    /^delete from kept_events k where k\.pos = any\(\$1\) .* where p\.pos = k\.pos\)$/,
    (call, positions) => {
      const open = openPositions(call)
      const gone = positions.filter((pos) => call.t.kept_events.get(pos) !== undefined && !open.has(pos))
      for (const pos of gone) call.t.kept_events.delete(pos)
      return gone.length
    },
  ),
  statement('read the floor', /^select log_floor from stream$/, (call) => [{ log_floor: floorOf(call) }]),
  statement<[number]>(
    'move the floor',
    /^update stream set log_floor = \$1 where log_floor < \$1$/,
    (call, upto) => {
      if (floorOf(call) >= upto) return 0
      call.t.stream.change(1, { log_floor: upto })
      return 1
    },
  ),
  // In the place of detaching and dropping a partition.
  statement<[number]>(
    'drop the old part of the log',
    /^delete from events where pos <= \$1$/,
    ({ t }, upto) => {
      const gone = t.events.all().filter(({ pos }) => pos <= upto)
      for (const { pos } of gone) t.events.delete(pos)
      return gone.length
    },
  ),
]

const forget: Statement[] = [
  statement<[number]>('forget event ids', /^delete from event_ids where event_id in/, (call, age) => {
    const { t, now } = call
    const upto = Math.min(floorOf(call), oldUpTo(t, age))
    const gone = t.event_ids
      .all()
      .filter(
        ({ pos, at }) => (at < now - age || at > now) && pos <= upto && t.kept_events.get(pos) === undefined,
      )
    for (const { event_id } of gone) t.event_ids.delete(event_id)
    return gone.length
  }),
  statement<[]>('forget changes', /^delete from changes where pos in/, (call) => {
    const gone = call.t.changes.all().filter(({ pos }) => pos <= floorOf(call))
    for (const { pos } of gone) call.t.changes.delete(pos)
    return gone.length
  }),
  statement<[]>('forget memberships', /^delete from memberships m using/, (call) => {
    const { t } = call
    const gone = t.memberships.all().filter((m) => {
      const position = t.destinations.get(m.destination)?.position ?? 0
      const { room, since, until } = m
      if (until === null || until > floorOf(call)) return false
      const within = (e: { room: number; pos: number }) => e.room === room && e.pos > since && e.pos <= until
      return until <= position || ![...t.kept_events.all(), ...t.events.all()].some(within)
    })
    for (const m of gone) t.memberships.delete(keyOf.membership(m))
    return gone.length
  }),
  statement<[]>('forget recipients', /^delete from recipients where id in/, (call) => {
    const { t } = call
    const kept = new Set(t.kept_events.all().map(({ recipients }) => recipients))
    const gone = t.recipients.all().filter(({ id, head }) => head <= floorOf(call) && !kept.has(id))
    for (const { hash } of gone) t.recipients.delete(hash)
    return gone.length
  }),
]

export const RETENTION = [...settle, ...kept, ...forget]
