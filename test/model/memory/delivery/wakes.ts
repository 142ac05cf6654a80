/** `store/{wake-lists,wishes,housekeeping}.ts`: who is woken, what operators ask, and what is put in order. */
import { withoutRefusals } from './results.ts'
import { isToldOf, mayConcern } from '../edus.ts'
import {
  headOf,
  inRoomNow,
  isApart,
  isBehind,
  least,
  lives,
  openGapOf,
  owedTo,
  recipientsOf,
} from '../rules.ts'
import type { DestinationRow } from '../rows.ts'
import { keyOf } from '../rows.ts'
import { overSince } from '../upkeep/seen.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import { inTurn } from '../turn-key.ts'

const mayGo = ({ now }: Call, d: DestinationRow) =>
  !d.paused && ((d.retry_at === null && d.hold_until === null) || d.look_at === null || d.look_at <= now)
const unserved = ({ t, now }: Call, d: DestinationRow) => !lives(t, d.lease_owner, now)
const followed = (call: Call, d: DestinationRow) => d.follows && !unserved(call, d)
const sleeper = ({ name, quick }: DestinationRow) => ({ name, quick })

/** The columns of a `WaitRow`. */
const waitsOf = (d: DestinationRow) => ({
  ...{ failures: d.failures, failing_since: d.failing_since, retry_at: d.retry_at },
  ...{ retry_interval: d.retry_interval, hold_kind: d.hold_kind, hold_until: d.hold_until },
  ...{ advice_at: d.advice_at, advice_up: d.advice_up, advice_after: d.advice_after },
  ...{ advice_step: d.advice_step, asked_at: d.asked_at, deadline_at: d.deadline_at },
  ...{ tried_at: d.tried_at, deadline_tries: d.deadline_tries },
})

/** New items concern it: nobody brings it back by itself, or it is being served. */
function isTold(call: Call, d: DestinationRow): boolean {
  if (d.paused) return false
  if (d.look_at === null) return true
  if (d.look_at > call.now) return d.retry_at === null && d.hold_until === null
  return !unserved(call, d)
}

function isOwed(call: Call, d: DestinationRow): boolean {
  const { t } = call
  return (
    isBehind(t, d) ||
    t.recipients.all().some((r) => r.durable_head > d.durable_pos && r.list.includes(d.id)) ||
    t.edus
      .all()
      .some((edu) => edu.durable && edu.pos > d.durable_pos && mayConcern(t, edu, d.id, d.durable_pos)) ||
    hasUnlistedDue(call, d) ||
    t.open_transactions.get(d.id) !== undefined ||
    openGapOf(t, d.id) !== undefined ||
    owedTo(t, d.id).length > 0
  )
}

const hasUnlistedDue = ({ t, now }: Call, { id }: DestinationRow) =>
  t.replays.all().some((p) => {
    const s = t.sticky.get(p.pos)
    if (p.destination !== id || p.state !== 'unlisted' || (p.next_at ?? Infinity) > now) return false
    return s !== undefined && s.expires_at > now && inRoomNow(t, id, s.room) && !isApart(t, id, p.pos)
  })

const wakes = {
  'whom do new items concern': twin<[number, number[], number]>((call, after, _, upto) => {
    const { t } = call
    const who = new Set<number>()
    const servers = (room: number) =>
      t.memberships.all().filter((m) => m.room === room && (m.until === null || m.until > after))
    for (const event of t.events.all()) {
      if (event.pos <= after || event.pos > upto) continue
      for (const id of recipientsOf(t, event)?.list ?? []) who.add(id)
      // `not_to` is not looked at here: a turn that finds nothing harms nobody.
      if (recipientsOf(t, event)?.exact === true) continue
      for (const m of servers(event.room)) who.add(m.destination)
    }
    for (const change of t.changes.all()) {
      if (change.pos <= after || change.pos > upto || change.kind !== 'servers') continue
      for (const id of change.added ?? []) who.add(id)
    }
    return t.destinations
      .all()
      .filter((d) => who.has(d.id) && isTold(call, d) && !followed(call, d))
      .map((d) => ({ ...sleeper(d), fence: d.fence, served: !unserved(call, d) }))
  }),
  'whom do new EDUs concern': twin<[number, number[], number]>((call, after, _, upto) => {
    const { t } = call
    const those = t.edus.all().filter(({ pos }) => pos > after && pos <= upto)
    const isQuick = (d: DestinationRow) => d.quick && d.retry_at === null && d.hold_until === null
    const { now } = call
    /** It is looked at by itself when `edus` may go. */
    const waitsAnyway = (d: DestinationRow, edus: typeof those) => {
      const waits = edus.some(({ type }) => type !== 'm.presence') ? 1_000 : 10_000
      return unserved(call, d) && d.look_at !== null && d.look_at > now && d.look_at <= now + waits
    }
    const concerns = (d: DestinationRow) => {
      const its = those.filter((edu) => isToldOf(t, edu, d.id, after))
      if (its.some(({ durable }) => durable)) return true
      return its.length > 0 && isQuick(d) && !waitsAnyway(d, its)
    }
    return t.destinations
      .all()
      .filter((d) => concerns(d) && isTold(call, d) && !followed(call, d))
      .map((d) => ({ ...sleeper(d), fence: d.fence, served: !unserved(call, d) }))
  }),
  'who fails and is owed new sticky events': twin<[number, number, number]>((call, after, upto, long) => {
    const { t, now } = call
    const live = t.sticky.all().filter((s) => s.pos > after && s.pos <= upto && s.expires_at > now)
    const rooms = [...new Set(live.map(({ room }) => room))].flatMap((room) => {
      const found = live
        .flatMap((s) => {
          const event = s.room === room ? t.events.get(s.pos) : undefined
          return event === undefined ? [] : [{ ...s, received_ts: event.received_ts }]
        })
        .sort((a, b) => a.expires_at - b.expires_at || a.pos - b.pos)
      const [first] = found
      if (first === undefined) return []
      const newest = Math.max(...found.map(({ received_ts }) => received_ts))
      const latest = Math.max(...found.map(({ expires_at }) => expires_at))
      return [{ room, lapses_at: first.expires_at, since: first.received_ts, newest, latest }]
    })
    return t.destinations.all().flatMap((d) => {
      const mine = rooms
        .filter(({ room }) => inRoomNow(t, d.id, room))
        .sort((a, b) => a.lapses_at - b.lapses_at || a.room - b.room)
      const [first] = mine
      const fails = d.failing_since !== null && d.failing_since > now - long && !d.paused
      if (first === undefined || !fails || (d.look_at !== null && d.look_at <= now)) return []
      const { id, look_at } = d
      const { lapses_at, since } = first
      return [
        {
          ...waitsOf(d),
          id,
          now,
          look_at,
          lapses_at,
          since,
          newest: Math.max(...mine.map((one) => one.newest)),
          latest: Math.max(...mine.map((one) => one.latest)),
        },
      ]
    })
  }),
  'look sooner at who fails': twin<[number[], number[]]>(({ t }, ids, times) => {
    const them = ids.flatMap((id, i) => {
      t.destinations.lock(id)
      const d = t.destinations.get(id)
      return d === undefined || d.failing_since === null || d.paused ? [] : [{ d, at: times[i] ?? 0 }]
    })
    for (const { d, at } of them)
      t.destinations.change(d.id, {
        ...{ look_at: least(d.look_at, at), deadline_at: least(d.deadline_at, at), wake_seq: d.wake_seq + 1 },
      })
    return them.length
  }),
  'what is new to the fanout': twin<[]>(({ t }) => {
    const [after, head] = [t.cursors.get('fanout')?.pos ?? 0, headOf(t)]
    const sticky = t.sticky.all().some(({ pos }) => pos > after && pos <= head)
    const { durable_head = 0, edu_head = 0 } = t.stream.get(1) ?? {}
    return [{ after, head, sticky, edus: Math.max(durable_head, edu_head) > after }]
  }),
  'move a cursor': twin<[string, number]>(({ t }, name, pos) => {
    if ((t.cursors.get(name)?.pos ?? pos) >= pos || pos > headOf(t)) return 0
    t.cursors.change(name, { pos })
    return 1
  }),
  'who is due': twin<[number]>((call, limit) => {
    const due = call.t.destinations
      .all()
      .filter(
        (d) =>
          (d.look_at !== null && d.look_at <= call.now) ||
          (d.follows && (call.t.workers.get(d.lease_owner ?? '')?.lease_until ?? Infinity) <= call.now),
      )
      .filter((d) => !d.paused && unserved(call, d))
      .sort(inTurn)
      .slice(0, limit)
      .map((d) => ({ act: false, ...sleeper(d), since: d.look_at }))
    return due.length > 0 ? due : [{ act: false, name: null, quick: null, since: null }]
  }),
  'who is owed something': twin<[]>((call) => [
    {
      ids: call.t.destinations
        .all()
        .filter((d) => isOwed(call, d))
        .map(({ id }) => id)
        .sort((a, b) => a - b),
    },
  ]),
  'who was missed': twin<[readonly number[]]>((call, owed) => {
    const { now } = call
    const isNew = (d: DestinationRow) => d.missed < 2 || d.look_at === null || d.look_at > now
    const missed = call.t.destinations
      .all()
      .filter((d) => owed.includes(d.id) && mayGo(call, d) && unserved(call, d) && isNew(d))
    for (const { id, missed: times, look_at } of missed)
      call.t.destinations.change(id, { missed: Math.min(times + 1, 2), look_at: least(look_at, now) })
    return missed.length
  }),
  'who was forgotten': twin<[number]>((call, limit) =>
    call.t.destinations
      .all()
      .filter((d) => d.missed >= 2 && mayGo(call, d) && unserved(call, d))
      .sort(inTurn)
      .slice(0, limit)
      .map(({ name }) => ({ name })),
  ),
} satisfies Twins

const WAITS_FORGOTTEN = {
  ...{ failures: 0, failing_since: null, retry_at: null, retry_interval: null },
  ...{ hold_kind: null, hold_until: null, advice_at: null, advice_up: false },
  ...{ advice_after: null, advice_step: null },
  ...{ deadline_at: null, tried_at: null, deadline_tries: null },
}

const wishes = {
  wish: twin<[string, string, 'wake' | 'reset' | 'pause' | 'resume']>(({ t, now }, name, _, wish) => {
    const d = t.destinations.all().find((one) => one.name === name)
    if (d === undefined) return []
    const { paused, hold_until } = d
    const held = d.hold_kind === 'retry_after' && (hold_until ?? 0) > now
    if (wish === 'wake' && (paused || held)) return [{ quick: null, paused, hold_until }]
    const asked = wish === 'wake' || wish === 'reset' ? { asked_at: now } : {}
    t.destinations.change(d.id, {
      ...{
        wake_seq: d.wake_seq + 1,
        ...asked,
        ...(wish === 'reset' ? { ...WAITS_FORGOTTEN, isolation: withoutRefusals(d.isolation) } : {}),
      },
      ...(wish === 'pause' ? { paused: true, narrowed_seq: d.narrowed_seq + 1 } : { look_at: now }),
      ...(wish === 'resume' ? { paused: false } : {}),
    })
    return [{ quick: d.quick, paused, hold_until }]
  }),
} satisfies Twins

const house = {
  'remove lapsed sticky rows': twin<[number]>(({ t }, grace) => {
    const old = t.sticky.all().filter(({ expires_at }) => expires_at < overSince(t, grace))
    for (const { pos } of old) t.sticky.delete(pos)
    return old.length
  }),
  'remove old notes': twin<[number]>(({ t }, age) => {
    const floor = t.stream.get(1)?.log_floor ?? 0
    const isGone = (pos: number) =>
      pos <= floor && t.kept_events.get(pos) === undefined && t.events.get(pos) === undefined
    const old = t.replays.all().filter(({ pos, destination, expires_at }) => {
      const position = t.destinations.get(destination)?.position ?? -1
      const event = t.events.get(pos)
      const waits = event && t.waiting_rooms.get(keyOf.waits(destination, event.room))
      const isNeeded = waits !== undefined && waits.cursor < pos
      return expires_at < overSince(t, age) && ((pos <= position && !isNeeded) || isGone(pos))
    })
    for (const { destination, pos } of old) t.replays.delete(keyOf.replay(destination, pos))
    return old.length
  }),
  'remove joins that are over': twin<[]>(({ t }) => {
    const over = t.sticky_owed.all().filter(({ room, cursor, upto }) => {
      if (room === null || (upto ?? 0) > headOf(t)) return false
      return !t.sticky.all().some((s) => s.room === room && s.pos > cursor && s.pos <= (upto ?? 0))
    })
    for (const { destination, room } of over) t.sticky_owed.delete(keyOf.owed(destination, room))
    return over.length
  }),
  'remove old attempts': twin<[number]>(() => 0),
  'remove old gaps': twin<[number]>(({ t }, age) => {
    const old = t.gaps.all().filter(({ closed_at }) => closed_at !== null && closed_at < overSince(t, age))
    for (const { id } of old) t.gaps.delete(id)
    return old.length
  }),
  'remove dead workers': twin<[number]>(({ t, now }, age) => {
    const old = t.workers.all().filter(({ lease_until }) => lease_until < now - age)
    for (const { id } of old) t.workers.delete(id)
    return old.length
  }),
  'cut impossible waits': twin<[number, number, number, number[]]>(({ t, now }, longest, day, hour, odd) => {
    let cut = 0
    const cutTo = (at: number | null, ms: number) => (at !== null && at > now + ms ? now + ms : at)
    for (const d of t.destinations.all()) {
      const own =
        d.retry_interval === null
          ? longest
          : odd.includes(d.retry_interval)
            ? d.retry_interval * 2
            : Math.min(longest, d.retry_interval * 2)
      const step = d.advice_step === null ? hour : Math.min(hour, d.advice_step)
      const most = d.retry_at !== null && d.hold_until === null ? own : Math.max(own, longest, day)
      const columns = {
        ...{ retry_at: cutTo(d.retry_at, own), hold_until: cutTo(d.hold_until, day) },
        ...{ advice_at: cutTo(d.advice_at, hour), advice_after: cutTo(d.advice_after, step) },
        look_at: cutTo(d.look_at, most),
      }
      const same = (Object.keys(columns) as (keyof typeof columns)[]).every((one) => columns[one] === d[one])
      if (same) continue
      t.destinations.change(d.id, columns)
      cut += 1
    }
    return cut
  }),
  'cut impossible leases': twin<[number]>(({ t, now }, hour) => {
    const long = t.workers.all().filter(({ lease_until }) => lease_until > now + hour)
    for (const { id } of long) t.workers.change(id, { lease_until: now })
    return long.length
  }),
} satisfies Twins

export const WAKES = { ...wakes, ...wishes, ...house }
