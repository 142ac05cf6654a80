/** `store/{settle-destinations,kept-events,forget-old}.ts`: what leaves the log, and what is spared. */
import { isBehind, lives, openGapOf, putGap } from '../rules.ts'
import { keyOf, type DestinationRow, type EduRow } from '../rows.ts'
import { oldUpTo } from './seen.ts'
import { DROP_OLD, twin, type Call, type Twins } from '../statement.ts'

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

const settle = {
  'who is quiet': twin<[number]>((call, upto) =>
    call.t.destinations
      .all()
      .filter((d) => d.position < upto && d.lease_owner === null && isQuiet(call, d))
      .map(({ id, fence }) => ({ id, fence })),
  ),
  'move the quiet on': twin<[number, number[], number[]]>(({ t }, upto, ids, fences) => {
    let moved = 0
    for (const [i, id] of ids.entries()) {
      const d = t.destinations.get(id)
      if (d === undefined || d.position >= upto || d.lease_owner !== null || d.fence !== fences[i]) continue
      t.destinations.change(id, { position: upto })
      moved += 1
    }
    return moved
  }),
  'who needs what goes': twin<[number]>(({ t }, upto) =>
    t.destinations
      .all()
      .filter((d) => d.position < upto && !((openGapOf(t, d.id)?.to_pos ?? -1) >= upto))
      .sort((a, b) => a.id - b.id)
      .map(({ id }) => ({ id })),
  ),
  'lock who needs it': twin<[number]>(({ t, now }, id) => {
    t.destinations.lock(id)
    const d = t.destinations.get(id)
    if (d === undefined) return []
    return [{ position: d.position, owned: d.lease_owner !== null, held: lives(t, d.lease_owner, now) }]
  }),
  'what is open of it': twin<[number]>(({ t }, id) => {
    const gap = openGapOf(t, id)
    const open = t.open_transactions.get(id)
    return [
      {
        ...{ gap: gap?.id ?? null, gap_to: gap?.to_pos ?? null, open_gap: open?.gap ?? null },
        ...{ open_to: open?.to_pos ?? null, open: open !== undefined },
      },
    ]
  }),
  'retention opens a gap': twin<[number, number, number]>((call, id, from, to) => {
    putGap(call, id, from, to)
    return 1
  }),
  'retention moves it on': twin<[number, number]>(({ t }, id, position) => {
    t.destinations.change(id, { position })
    return 1
  }),
  'retention moves what is open': twin<[number, number]>(({ t }, id, upto) => {
    const open = t.open_transactions.get(id)
    if (open === undefined) return 0
    t.open_transactions.change(id, { from_pos: upto, to_pos: Math.max(open.to_pos, upto) })
    return 1
  }),
  'retention takes it from the dead': twin<[number]>(({ t }, id) => {
    t.destinations.change(id, { lease_owner: null, follows: false })
    return 1
  }),
  'retention extends the gap': twin<[number, number]>(({ t }, gap, to) => {
    t.gaps.change(gap, { to_pos: to })
    return 1
  }),
  'its answer closes no gap': twin<[number, number]>(({ t }, id, gap) => {
    const open = t.open_transactions.get(id)
    if (open?.gap !== gap || !open.closes_gap) return 0
    t.open_transactions.change(id, { closes_gap: false, to_pos: open.from_pos })
    return 1
  }),
} satisfies Twins

const kept = {
  'which gaps need it': twin<[number]>(({ t }, upto) =>
    t.gaps
      .all()
      .flatMap((gap) => {
        const cursor = Math.max(gap.cursor, t.destinations.get(gap.destination)?.position ?? 0)
        if (gap.closed_at !== null || cursor >= upto) return []
        return [{ destination: gap.destination, from: gap.from_pos, to: gap.to_pos, cursor }]
      })
      .sort((a, b) => a.destination - b.destination),
  ),
  'what unanswered transactions need': twin<[number]>((call, upto) =>
    [...openPositions(call)].filter((pos) => pos <= upto).map((pos) => ({ pos })),
  ),
  'what is too old to be kept': twin<[number[], number]>(({ t }, positions, age) =>
    positions
      .filter((pos) => t.kept_events.get(pos) !== undefined && pos <= oldUpTo(t, age))
      .sort((a, b) => a - b)
      .map((pos) => ({ pos })),
  ),
  'give up': twin<[number[]]>((call, positions) => {
    const open = openPositions(call)
    const gone = positions.filter((pos) => call.t.kept_events.get(pos) !== undefined && !open.has(pos))
    for (const pos of gone) call.t.kept_events.delete(pos)
    return gone.map((pos) => ({ pos }))
  }),
  keep: twin<[number[]]>(({ t }, positions) => {
    const rows = positions
      .flatMap((pos) => t.events.get(pos) ?? [])
      .filter(({ pos }) => t.kept_events.get(pos) === undefined)
    for (const row of rows) t.kept_events.put(row.pos, row)
    return rows.length
  }),
  'keep what is unanswered now': twin<[number]>((call, upto) => {
    const rows = [...openPositions(call)]
      .filter((pos) => pos <= upto && call.t.kept_events.get(pos) === undefined)
      .flatMap((pos) => call.t.events.get(pos) ?? [])
    for (const row of rows) call.t.kept_events.put(row.pos, row)
    return rows.length
  }),
  'what is kept and needed no longer': twin<[number[]]>(({ t }, needed) =>
    t.kept_events
      .all()
      .filter(({ pos }) => !needed.includes(pos))
      .sort((a, b) => a.pos - b.pos)
      .map(({ pos }) => ({ pos })),
  ),
  'keep no longer': twin<[number[]]>((call, positions) => {
    const open = openPositions(call)
    const gone = positions.filter((pos) => call.t.kept_events.get(pos) !== undefined && !open.has(pos))
    for (const pos of gone) call.t.kept_events.delete(pos)
    return gone.length
  }),
  'read the floor': twin((call) => [{ log_floor: floorOf(call) }]),
  'move the floor': twin<[number]>((call, upto) => {
    if (floorOf(call) >= upto) return 0
    call.t.stream.change(1, { log_floor: upto })
    return 1
  }),
  // In the place of detaching and dropping a partition.
  [DROP_OLD]: twin<[number]>(({ t }, upto) => {
    const gone = t.events.all().filter(({ pos }) => pos <= upto)
    for (const { pos } of gone) t.events.delete(pos)
    return gone.length
  }),
} satisfies Twins

const forget = {
  'forget event ids': twin<[number]>((call, age) => {
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
  'forget changes': twin<[]>((call) => {
    const gone = call.t.changes.all().filter(({ pos }) => pos <= floorOf(call))
    for (const { pos } of gone) call.t.changes.delete(pos)
    return gone.length
  }),
  'forget memberships': twin<[]>((call) => {
    const { t } = call
    const gone = t.memberships.all().filter((m) => {
      const position = t.destinations.get(m.destination)?.position ?? 0
      const { room, since, until } = m
      if (until === null || until > floorOf(call)) return false
      const within = (e: { room: number; pos: number }) => e.room === room && e.pos > since && e.pos <= until
      const { durable_pos = 0, ephemeral_pos = 0 } = t.destinations.get(m.destination) ?? {}
      const before = (edu: EduRow) => edu.pos > until
      const edus = t.edus.all().filter(({ recipients }) => recipients === null)
      const isPastEdus =
        (until <= durable_pos || edus.filter(({ durable }) => durable).every(before)) &&
        (until <= ephemeral_pos ||
          edus
            .filter(({ durable }) => !durable)
            .every((edu) => before(edu) || (edu.room !== null && !within({ ...edu, room: edu.room }))))
      return isPastEdus && (until <= position || ![...t.kept_events.all(), ...t.events.all()].some(within))
    })
    for (const m of gone) t.memberships.delete(keyOf.membership(m))
    return gone.length
  }),
  'forget recipients': twin<[]>((call) => {
    const { t } = call
    const kept = new Set(t.kept_events.all().map(({ recipients }) => recipients))
    for (const { recipients } of t.edus.all()) kept.add(recipients)
    const gone = t.recipients
      .all()
      .filter((r) => Math.max(r.head, r.durable_head, r.edu_head) <= floorOf(call) && !kept.has(r.id))
    for (const { hash } of gone) t.recipients.delete(hash)
    return gone.length
  }),
} satisfies Twins

export const RETENTION = { ...settle, ...kept, ...forget }
