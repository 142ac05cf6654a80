/** `store/{destination-state,timeline,gap-rooms,sticky-lane,log-tail}.ts`: what a holder decides from. */
import {
  addressed,
  entitled,
  eventsBetween,
  headOf,
  inRoomNow,
  isApart,
  notApart,
  notSent,
  openGapOf,
  owedByJoin,
  owedTo,
  recipientsOf,
  replayOf,
  textRow,
} from '../rules.ts'
import { keyOf, type DestinationRow, type EventRow, type OpenRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'

const isLive = ({ t }: Call, pos: number, at: number) => (t.sticky.get(pos)?.expires_at ?? 0) > at

/** The lanes of its EDUs, and what is unanswered of these. */
function edusOf({ t }: Call, d: DestinationRow, open: OpenRow | undefined) {
  const { durable_head = 0, edu_head = 0 } = t.stream.get(1) ?? {}
  return {
    ...{ durable_pos: d.durable_pos, ephemeral_pos: d.ephemeral_pos, ephemeral_at: d.ephemeral_at },
    ...{ edu_alone: d.edu_alone, durable_head, edu_head },
    edu_form: open?.edu_txn === open?.txn_id ? (open?.edu_form ?? null) : null,
    edu_positions: open?.edu_positions ?? null,
    edu_count: open?.edus ?? null,
    durable_to: open?.durable_to ?? null,
    ephemeral_to: open?.ephemeral_to ?? null,
  }
}

const load = twin<[number[], string[], number[]]>((call, ids, workers, fences) =>
  ids.flatMap((id, i) => loadOne(call, id, workers[i] ?? '', fences[i] ?? 0)),
)

function loadOne(call: Call, id: number, worker: string, fence: number): object[] {
  const { t, now, rules } = call
  const d = t.destinations.get(id)
  if (d === undefined) return []
  const open = t.open_transactions.get(id)
  const gap = openGapOf(t, id)
  const owed = owedTo(t, id).map(({ room, upto, cursor }) => ({ room, upto, cursor }))
  const due = t.replays.all().flatMap((p) => {
    const s = t.sticky.get(p.pos)
    const again = p.destination === id && p.state === 'unlisted' && s !== undefined && s.expires_at > now
    return again && inRoomNow(t, id, s.room) && p.next_at !== null && !isApart(t, id, p.pos)
      ? [p.next_at]
      : []
  })
  return [
    {
      ...{ id: d.id, name: d.name, position: d.position, wake_seq: d.wake_seq, paused: d.paused },
      skip_upto: d.skip_upto,
      narrowed_seq: d.narrowed_seq,
      ...edusOf(call, d, open),
      ...{
        lists: d.lists,
        quick: d.quick,
        timeout_ms: d.timeout_ms,
        last_success: d.last_success,
        isolation: d.isolation,
        failures: d.failures,
        failing_since: d.failing_since,
      },
      ...{ retry_at: d.retry_at, retry_interval: d.retry_interval, hold_kind: d.hold_kind },
      ...{ hold_until: d.hold_until, advice_at: d.advice_at, advice_up: d.advice_up },
      ...{ advice_after: d.advice_after, advice_step: d.advice_step, asked_at: d.asked_at },
      ...{ deadline_at: d.deadline_at, tried_at: d.tried_at, deadline_tries: d.deadline_tries },
      head: headOf(t),
      now,
      held: rules.holds(t, d, worker, fence, now),
      txn_id: open?.txn_id ?? null,
      origin_server_ts: open?.origin_server_ts ?? null,
      bytes: open?.bytes ?? null,
      void: open?.void ?? null,
      open_created_at: open?.created_at ?? null,
      attempt: open?.attempt ?? null,
      open_worker: open?.worker ?? null,
      positions: open?.positions ?? null,
      lanes: open?.lanes ?? null,
      from_pos: open?.from_pos ?? null,
      to_pos: open?.to_pos ?? null,
      open_gap: open?.gap ?? null,
      open_gap_cursor: open?.gap_cursor ?? null,
      closes_gap: open?.closes_gap ?? null,
      sticky: open?.sticky ?? null,
      gap_id: gap?.id ?? null,
      gap_from: gap?.from_pos ?? null,
      gap_to: gap?.to_pos ?? null,
      // greatest() skips nulls: without a gap it is the position.
      gap_cursor: Math.max(gap?.cursor ?? 0, d.position),
      gap_batch: gap?.batch ?? null,
      owed: owed.length === 0 ? null : owed,
      unlisted_at: due.length === 0 ? null : Math.min(...due),
    },
  ]
}

function timeline({ t, rules }: Call, id: number, after: number, upto: number, limit: number) {
  return eventsBetween(t, after, upto)
    .filter((event) => entitled(rules, t, event, id) && notSent(t, id, event) && notApart(t, id, event))
    .slice(0, limit)
}

type GapRange = [number, number, number, number, number | null]

/** In the log, or kept of it. */
const textOf = (t: Call['t'], pos: number) => t.events.get(pos) ?? t.kept_events.get(pos)

function gapRooms({ t, rules }: Call, ...[id, from, to, cursor, limit]: GapRange): EventRow[] {
  const kept = t.kept_events
    .all()
    .filter(({ pos }) => pos > from && pos <= to && t.events.get(pos) === undefined)
  const within = [...eventsBetween(t, from, to), ...kept]
    .sort((a, b) => a.pos - b.pos)
    .filter((event) => entitled(rules, t, event, id))
  const newest = new Map(
    within.filter((event) => rules.memberAt(t, event, id)).map((event) => [event.room, event.pos]),
  )
  return within
    .filter(
      (event) =>
        newest.get(event.room) === event.pos || (addressed(t, event, id) && !rules.memberAt(t, event, id)),
    )
    .filter((event) => event.pos > cursor && notSent(t, id, event) && notApart(t, id, event))
    .slice(0, limit ?? undefined)
}

type Range = [number, number, number, number]

const events = {
  'read texts': twin<[number, string]>(({ t }, id, txnId) => {
    const open = t.open_transactions.get(id)
    if (open?.txn_id !== txnId || open.void) return []
    const none = { pos: null, event_id: null, pdu: null, received_ts: null, sticky: null, odd: null }
    if (open.positions.length === 0) return [none]
    return open.positions.map((pos) => {
      const event = textOf(t, pos)
      return event === undefined ? none : textRow(event)
    })
  }),
  'read the timeline': twin<[...Range, number]>((call, id, after, upto, limit, bytes) =>
    textsWithin(bytes, timeline(call, id, after, upto, limit).map(textRow)),
  ),
  'count the timeline': twin<Range>((call, ...range) => timeline(call, ...range).map(({ pos }) => ({ pos }))),
  'read the rooms of the gap': twin<[...GapRange, number]>((call, id, from, to, cursor, limit, bytes) =>
    textsWithin(bytes, gapRooms(call, id, from, to, cursor, limit).map(textRow)),
  ),
  'count the timeline of each room': twin<Range>((call, ...range) =>
    timeline(call, ...range).map(({ pos }) => ({ pos })),
  ),
  'read the timeline room by room': twin<[...Range, number]>((call, id, after, upto, limit, bytes) =>
    textsWithin(bytes, timeline(call, id, after, upto, limit).map(textRow)),
  ),
  'count the timeline room by room': twin<Range>((call, ...range) => [
    { n: timeline(call, ...range).length },
  ]),
  'what does the gap need': twin<GapRange>((call, ...range) =>
    gapRooms(call, ...range).map(({ pos }) => ({ pos })),
  ),
  'what does the gap need of each room': twin<GapRange>((call, ...range) =>
    gapRooms(call, ...range).map(({ pos, room }) => ({ pos, room })),
  ),
  'follow the log': twin<[number, number, number]>(({ t }, after, limit, bytes) => {
    const nothing = { target: null, added: null, removed: null, at: null }
    const noLists = { sticky: null, odd: null, exact: null, list: null, less: null }
    const noEdu = {
      ...{ durable: null, alone: null, expires_at: null, key: null, who: null, set: null, rooms: null },
    }
    const logged = [
      ...t.events.all().map((event) => {
        const them = recipientsOf(t, event)
        return {
          ...{ ...textRow(event), kind: 'event', room: event.room },
          ...{
            exact: them?.exact ?? null,
            list: them?.list ?? null,
            less: them?.less ?? null,
            ...noEdu,
            ...nothing,
          },
        }
      }),
      ...t.changes.all().map(({ pos, kind, room, target, added, removed, at }) => ({
        ...{ pos, kind, room, event_id: null, pdu: null, received_ts: null, sticky: null, odd: null },
        ...{ exact: null, list: null, less: null, ...noEdu, target, added, removed, at },
      })),
      ...t.edus.all().map((edu) => {
        const { pos, type, content, received_ts, durable, alone, expires_at, key, who, room, rooms } = edu
        return {
          ...{ pos, kind: 'edu', room, event_id: type, pdu: content, received_ts, ...noLists },
          list:
            edu.recipients === null
              ? null
              : (t.recipients.all().find(({ id }) => id === edu.recipients)?.list ?? null),
          ...{ durable, alone, expires_at, key, who, set: rooms },
          rooms: rooms === null ? null : (t.edu_rooms.get(rooms)?.rooms ?? null),
          ...nothing,
        }
      }),
    ]
    const head = headOf(t)
    logged.sort((a, b) => a.pos - b.pos)
    const place = logged.findLast(({ pos }) => pos <= after)
    const begin = place === undefined ? [] : [{ ...place, pdu: null, ...noLists, ...noEdu }]
    const found = [...begin, ...logged.filter(({ pos }) => pos > after).slice(0, limit)]
    if (found.length > 0) return textsWithin(bytes, found).map((entry) => ({ head, ...entry }))
    const none = {
      pos: null,
      kind: null,
      room: null,
      event_id: null,
      pdu: null,
      received_ts: null,
      sticky: null,
      odd: null,
    }
    return [{ head, ...none, ...noLists, ...noEdu, ...nothing }]
  }),
} satisfies Twins

const stickyRow = ({ t }: Call, pos: number) => {
  const event = t.events.get(pos)
  if (event === undefined) return []
  const { event_id, pdu, received_ts, odd } = event
  return [{ pos, event_id, pdu, received_ts, expires_at: t.sticky.get(pos)?.expires_at ?? 0, odd }]
}

/** As many of the texts as fit into so many bytes, and the first; the rest are null. */
function textsWithin<R extends { pdu: string | null }>(bytes: number, rows: readonly R[]): R[] {
  let sum = 0
  return rows.map((row) => {
    if (row.pdu === null) return row
    const length = Buffer.byteLength(row.pdu) + 1
    sum += length
    return sum <= bytes || sum === length ? row : { ...row, pdu: null }
  })
}

const sticky = {
  'read sticky events owed': twin<[number, number, number, number]>((call, id, at, limit, bytes) => {
    const { t, rules } = call
    const gap = t.sticky_owed.get(keyOf.owed(id, null))
    const found = t.sticky
      .all()
      .filter((s) => {
        const event = t.events.get(s.pos)
        if (event === undefined || !isLive(call, s.pos, at) || !inRoomNow(t, id, s.room)) return false
        if (isApart(t, id, s.pos)) return false
        if (owedByJoin(rules, t, id, s)) return true
        if (gap === undefined || s.pos <= Math.max(gap.after_pos, gap.cursor)) return false
        return entitled(rules, t, event, id) && notSent(t, id, event)
      })
      .map(({ pos }) => pos)
      .sort((a, b) => a - b)
      .slice(0, limit)
      .flatMap((pos) => stickyRow(call, pos))
    return textsWithin(bytes, found)
  }),
  'read unlisted sticky events': twin<[number, number, number, number]>((call, id, at, limit, bytes) => {
    const { t } = call
    const found = t.replays
      .all()
      .filter(({ destination, pos, state, next_at }) => {
        const room = t.sticky.get(pos)?.room
        if (destination !== id || state !== 'unlisted' || next_at === null || next_at > at) return false
        return room !== undefined && isLive(call, pos, at) && inRoomNow(t, id, room) && !isApart(t, id, pos)
      })
      .map(({ pos }) => pos)
      .sort((a, b) => a - b)
      .slice(0, limit)
      .flatMap((pos) => stickyRow(call, pos))
    return textsWithin(bytes, found)
  }),
  'which sticky event lapses soonest': twin<[number, number]>((call, id, position) => {
    const { t, rules, now } = call
    const gap = t.sticky_owed.get(keyOf.owed(id, null))
    const owed = t.sticky.all().flatMap((s) => {
      const event = t.events.get(s.pos)
      if (event === undefined || !isLive(call, s.pos, now) || !inRoomNow(t, id, s.room)) return []
      const isNew = entitled(rules, t, event, id) && notSent(t, id, event)
      const inGap = gap !== undefined && s.pos > Math.max(gap.after_pos, gap.cursor)
      const isOwed =
        (isNew && (s.pos > (t.waiting_rooms.get(keyOf.waits(id, s.room))?.cursor ?? position) || inGap)) ||
        owedByJoin(rules, t, id, s) ||
        replayOf(t, id, s.pos)?.state === 'unlisted' ||
        isApart(t, id, s.pos)
      return isOwed ? [{ ...s, received_ts: event.received_ts }] : []
    })
    const [first] = owed.sort((a, b) => a.expires_at - b.expires_at || a.pos - b.pos)
    if (first === undefined) return [{ lapses_at: null, since: null, newest: null, latest: null }]
    const newest = Math.max(...owed.map(({ received_ts }) => received_ts))
    const latest = Math.max(...owed.map(({ expires_at }) => expires_at))
    return [{ lapses_at: first.expires_at, since: first.received_ts, newest, latest }]
  }),
  'note what has lapsed': twin<[number, number | null]>(({ t }, at, only) => {
    const due = new Map<string, { destination: number; pos: number; expires_at: number }>()
    const note = (destination: number, pos: number, expires_at: number) => {
      due.set(keyOf.replay(destination, pos), { destination, pos, expires_at })
    }
    for (const o of t.sticky_owed.all()) {
      if (only !== null && o.destination !== only) continue
      for (const s of t.sticky.all()) {
        if (s.expires_at > at || s.expires_at <= o.created_at || s.room !== o.room) continue
        if (s.pos > o.cursor && s.pos <= (o.upto ?? 0)) note(o.destination, s.pos, s.expires_at)
      }
    }
    for (const p of t.replays.all()) {
      if (p.state !== 'unlisted' || p.expires_at > at || (only !== null && p.destination !== only)) continue
      note(p.destination, p.pos, p.expires_at)
    }
    return noteLapsed(t, due.values(), at)
  }),
  'count what has lapsed in gaps': twin<[number]>(({ t }, at) => {
    const before = t.cursors.get('lapsed')?.pos ?? -Infinity
    t.cursors.put('lapsed', { name: 'lapsed', pos: at })
    const pairs = t.sticky_owed.all().flatMap((o) =>
      t.sticky.all().filter((s) => {
        if (o.room !== null || s.expires_at > at || s.expires_at <= Math.max(o.created_at, before))
          return false
        const mine = t.memberships
          .all()
          .find((m) => m.destination === o.destination && m.until === null && m.room === s.room)
        if (mine === undefined || s.pos <= Math.max(o.after_pos, o.cursor, mine.since)) return false
        return replayOf(t, o.destination, s.pos) === undefined
      }),
    )
    return [{ lapsed: pairs.length }]
  }),
  'count what has lapsed in the gap': twin<[number, number, number]>(({ t, now, rules }, id, from, to) => {
    const lapsed = eventsBetween(t, from, to).filter((event) => {
      const { pos, sticky_until: until } = event
      if (until === null || until > now || replayOf(t, id, pos) !== undefined) return false
      return entitled(rules, t, event, id)
    })
    return [{ lapsed: lapsed.length }]
  }),
  'drop joins that are through': twin<[number, number[], number, number]>((call, id, rooms, at, head) => {
    const { t, rules } = call
    const done = owedTo(t, id).filter((o) => {
      if (o.room === null || !rooms.includes(o.room) || (o.upto ?? 0) > head) return false
      return !t.sticky
        .all()
        .some(
          (s) =>
            s.room === o.room &&
            isLive(call, s.pos, at) &&
            owedByJoin(rules, t, id, s) &&
            !isApart(t, id, s.pos),
        )
    })
    for (const { room } of done) t.sticky_owed.delete(keyOf.owed(id, room))
    return done.length
  }),
} satisfies Twins

function noteLapsed(
  t: Call['t'],
  due: Iterable<{ destination: number; pos: number; expires_at: number }>,
  at: number,
): number {
  let noted = 0
  for (const { destination, pos, expires_at } of due) {
    const known = replayOf(t, destination, pos)
    if (known !== undefined && known.state !== 'unlisted') continue
    const lapsed = { state: 'lapsed' as const, next_at: null, at }
    t.replays.put(
      keyOf.replay(destination, pos),
      known === undefined
        ? { destination, pos, listed_at: null, tries: 0, expires_at, ...lapsed }
        : { ...known, ...lapsed },
    )
    noted += 1
  }
  return noted
}

export const LOAD = { 'look at the destination': load, ...events, ...sticky }
