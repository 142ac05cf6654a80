/** `store/delivery/apart.ts`: PDUs that are out of their lanes, and the rooms that wait behind them. */
import {
  addressed,
  entitled,
  eventsBetween,
  forgottenAfter,
  inRoomNow,
  isApart,
  notSent,
  recipientsOf,
  textRow,
} from '../rules.ts'
import { keyOf, type ApartRow, type WaitingRoomRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import { NO_SUSPECT } from '../../../../src/store/delivery/apart.ts'
import type { Isolation } from '../../../../src/store/isolation.ts'
import { held } from './leases.ts'

const eventAt = ({ t }: Call, pos: number) => t.events.get(pos) ?? t.kept_events.get(pos)
const ofDestination = ({ t }: Call, id: number) =>
  t.apart.all().filter(({ destination }) => destination === id)
/** It waits with its room. */
const isWith = ({ grp, next_at }: ApartRow, room: WaitingRoomRow | undefined) =>
  room !== undefined && room.held_since !== null && grp === null && next_at === null
/** Nulls last, as PostgreSQL has them. */
const byNulls = (a: number | null, b: number | null) => (a ?? Infinity) - (b ?? Infinity) || 0

type Take = [string, number, number, number, string, number, number[], string, number, number, number, number]
type TakeLast = [
  ...[worker: string, fence: number, id: number, from: number, to: number, pos: number, lane: string],
  ...[roomsUpto: number, now: number, nothing: string, narrowed: number, readAt: number, passed: number],
]
type Move = [string, number, number, number, number, number[], number, boolean, number]

/** A replay that the lanes have not passed, and that is owed as any event is one of the timeline. */
function laneApart(
  call: Call,
  id: number,
  { pos, lane, passed }: { pos: number; lane: string; passed: number },
): string {
  const event = eventAt(call, pos)
  const isOwed =
    lane === 's' &&
    pos > passed &&
    event !== undefined &&
    entitled(call.rules, call.t, event, id) &&
    notSent(call.t, id, event)
  return isOwed ? 't' : lane
}

function putApart(
  { t }: Call,
  row: Pick<ApartRow, 'destination' | 'pos' | 'room' | 'lane' | 'grp' | 'since'>,
  tries = 0,
): void {
  if (isApart(t, row.destination, row.pos)) return
  t.apart.put(keyOf.apart(row.destination, row.pos), {
    ...row,
    tries,
    next_at: null,
    status: null,
    message: null,
  })
}

function missed(call: Call, id: number, after: number, upto: number, room: number, limit: number): number[] {
  const { t, rules } = call
  return eventsBetween(t, after, upto)
    .filter((event) => event.room === room && notSent(t, id, event) && !isApart(t, id, event.pos))
    .filter((event) => {
      const byList = addressed(t, event, id)
      if (rules.memberAt(t, event, id)) {
        const them = recipientsOf(t, event)
        return them === null || byList || (!them.exact && !them.less.includes(id))
      }
      return byList
    })
    .slice(0, limit)
    .map(({ pos }) => pos)
}

export const APART = {
  'read what is apart': twin<[number]>((call, id) => {
    const { t } = call
    const roomOf = (row: ApartRow) => t.waiting_rooms.get(keyOf.waits(id, row.room))
    const soonest = ofDestination(call, id)
      .sort((a, b) => byNulls(a.grp, b.grp) || byNulls(a.next_at, b.next_at) || a.pos - b.pos)
      .slice(0, 1_000)
    const withRoom = ofDestination(call, id)
      .filter((row) => isWith(row, roomOf(row)))
      .sort(
        (a, b) =>
          byNulls(roomOf(a)?.next_at ?? null, roomOf(b)?.next_at ?? null) || a.room - b.room || a.pos - b.pos,
      )
      .slice(0, 1_000)
    return [...new Set([...soonest, ...withRoom])]
      .sort((a, b) => a.pos - b.pos)
      .map(({ pos, room, lane, grp, since, tries, next_at }) => {
        const event = eventAt(call, pos)
        return {
          ...{ pos, room, lane, grp, since, tries, next_at },
          bytes: event === undefined ? null : Buffer.byteLength(event.pdu),
          odd: event?.odd ?? false,
          expires_at: t.sticky.get(pos)?.expires_at ?? null,
          member: inRoomNow(t, id, room),
        }
      })
  }),
  'read the rooms that wait': twin<[number]>((call, id) =>
    call.t.waiting_rooms
      .all()
      .filter(({ destination }) => destination === id)
      .sort((a, b) => a.room - b.room)
      .map((one) => {
        const { room, cursor, held_since, tries, next_at } = one
        const isOfIt = (row: ApartRow) => row.room === room && (row.grp !== null || isWith(row, one))
        return { room, cursor, held_since, tries, next_at, busy: ofDestination(call, id).some(isOfIt) }
      }),
  ),
  'read the texts of what is apart': twin<[number, number[]]>((call, id, positions) =>
    ofDestination(call, id)
      .filter(({ pos }) => positions.includes(pos))
      .sort((a, b) => a.pos - b.pos)
      .flatMap(({ pos }) => {
        const event = eventAt(call, pos)
        return event === undefined ? [] : [textRow(event)]
      }),
  ),
  'take apart what was refused': twin<Take>((call, ...values) => {
    const [worker, fence, id, from, txnId, to, positions, lanes, half, roomsUpto, now, passed] = values
    const { t } = call
    const open = t.open_transactions.get(id)
    if (held(call, worker, fence, id)?.position !== from || open?.txn_id !== txnId || open.void)
      return [{ n: 0, rooms: [] }]
    t.open_transactions.delete(id)
    t.destinations.change(id, { position: to })
    for (const one of ofDestination(call, id))
      if (one.grp !== null) t.apart.put(keyOf.apart(id, one.pos), { ...one, grp: one.grp + 2 })
    const rooms: number[] = []
    for (const [i, pos] of positions.entries()) {
      const room = eventAt(call, pos)?.room
      if (room === undefined) continue
      const lane = laneApart(call, id, { pos, lane: lanes[i] ?? 't', passed })
      putApart(call, { destination: id, pos, room, lane, grp: i < half ? 1 : 2, since: now })
      if (t.waiting_rooms.get(keyOf.waits(id, room)) !== undefined) continue
      rooms.push(room)
      t.waiting_rooms.put(keyOf.waits(id, room), {
        ...{ destination: id, room, cursor: roomsUpto, held_since: null, tries: 0, next_at: null },
      })
    }
    return [{ n: 1, rooms: rooms.sort((a, b) => a - b) }]
  }),
  'take out what goes last': twin<TakeLast>((call, ...values) => {
    const [worker, fence, id, from, to, pos, lane, roomsUpto, now, nothing, narrowed, readAt, passed] = values
    const { t } = call
    const d = held(call, worker, fence, id)
    if (d?.position !== from || d.narrowed_seq !== narrowed || forgottenAfter(t, readAt))
      return [{ n: 0, rooms: [] }]
    if (t.open_transactions.get(id) !== undefined) return [{ n: 0, rooms: [] }]
    const isolation = { ...(d.isolation ?? (JSON.parse(nothing) as Isolation)), apart: true }
    t.destinations.change(id, { position: to, isolation })
    const room = eventAt(call, pos)?.room
    if (room === undefined) return [{ n: 1, rooms: [] }]
    const last = Math.max(0, ...ofDestination(call, id).map(({ grp }) => grp ?? 0))
    const its = laneApart(call, id, { pos, lane, passed })
    putApart(call, { destination: id, pos, room, lane: its, grp: last + 1, since: now }, NO_SUSPECT)
    if (t.waiting_rooms.get(keyOf.waits(id, room)) !== undefined) return [{ n: 1, rooms: [] }]
    t.waiting_rooms.put(keyOf.waits(id, room), {
      ...{ destination: id, room, cursor: roomsUpto, held_since: null, tries: 0, next_at: null },
    })
    return [{ n: 1, rooms: [room] }]
  }),
  'sort what is apart': twin<
    [
      number,
      number[],
      (number | null)[],
      number[],
      number[],
      (number | null)[],
      number | null,
      string | null,
      number | null,
    ]
  >(({ t }, id, positions, grp, since, tries, nextAt, status, message, alone) => {
    let sorted = 0
    for (const [i, pos] of positions.entries()) {
      const row = t.apart.get(keyOf.apart(id, pos))
      if (row === undefined) continue
      t.apart.put(keyOf.apart(id, pos), {
        ...{
          ...row,
          grp: grp[i] ?? null,
          since: since[i] ?? 0,
          tries: tries[i] ?? 0,
          next_at: nextAt[i] ?? null,
        },
        ...(pos === alone ? { status, message } : {}),
      })
      sorted += 1
    }
    return sorted
  }),
  'hold rooms': twin<[number, number[], number[], number[], number[]]>(
    ({ t }, id, rooms, since, tries, nextAt) => {
      let held = 0
      for (const [i, room] of rooms.entries()) {
        const row = t.waiting_rooms.get(keyOf.waits(id, room))
        if (row === undefined) continue
        const over = { held_since: since[i] ?? null, tries: tries[i] ?? 0, next_at: nextAt[i] ?? null }
        t.waiting_rooms.put(keyOf.waits(id, room), { ...row, ...over })
        held += 1
      }
      return held
    },
  ),
  'it is apart no more': twin<[number, number[]]>(({ t }, id, positions) => {
    const those = positions.filter((pos) => isApart(t, id, pos))
    for (const pos of those) t.apart.delete(keyOf.apart(id, pos))
    return those.length
  }),
  'give up what was set aside': twin<[number, number[]]>(({ t }, id, positions) => {
    const those = positions.filter((pos) => isApart(t, id, pos))
    for (const pos of those) t.apart.delete(keyOf.apart(id, pos))
    return those.map((pos) => ({ pos }))
  }),
  'which rooms that wait need it': twin<[number]>(({ t }, upto) =>
    t.waiting_rooms
      .all()
      .filter(({ cursor }) => cursor < upto)
      .sort((a, b) => a.destination - b.destination || a.room - b.room)
      .map(({ destination, room, cursor }) => ({ destination, room, cursor })),
  ),
  'what does a room that waits need': twin<[number, number, number, number]>(
    (call, id, after, upto, room) => {
      const { t, rules } = call
      const there = eventsBetween(t, after, upto).filter(
        (event) => event.room === room && entitled(rules, t, event, id),
      )
      const newest = there.filter((event) => rules.memberAt(t, event, id)).at(-1)
      return there
        .filter((event) => event === newest || (addressed(t, event, id) && !rules.memberAt(t, event, id)))
        .filter((event) => notSent(t, id, event))
        .map(({ pos }) => ({ pos }))
    },
  ),
  'a room is overtaken': twin<[number, number, number, number[]]>((call, id, room, upto, positions) => {
    const { t, now } = call
    const key = keyOf.waits(id, room)
    const row = t.waiting_rooms.get(key)
    if (row === undefined) return 0
    const last = Math.max(0, ...ofDestination(call, id).map(({ grp }) => grp ?? 0))
    const grp = row.held_since === null ? last + 1 : null
    for (const pos of positions)
      putApart(call, { destination: id, pos, room, lane: 'c', grp, since: now }, NO_SUSPECT)
    t.waiting_rooms.put(key, { ...row, cursor: Math.max(row.cursor, upto) })
    return 1
  }),
  'what is apart and needs it': twin<[number]>(({ t }, upto) => {
    const counts = new Map<number, number>()
    for (const { pos, grp, next_at } of t.apart.all())
      if (pos <= upto && (grp !== null || next_at === null)) counts.set(pos, (counts.get(pos) ?? 0) + 1)
    return [...counts].sort(([a], [b]) => a - b).map(([pos, n]) => ({ pos, n }))
  }),
  'lock it where it is still held': twin<[string, number, number]>((call, worker, fence, id) =>
    held(call, worker, fence, id) === null ? [] : [{ id }],
  ),
  'a search is over': twin<[string, number, number]>((call, worker, fence, id) => {
    const d = held(call, worker, fence, id)
    if (d === null) return 0
    call.t.destinations.change(id, { isolation: d.isolation && { ...d.isolation, search: null } })
    return 1
  }),
  'nothing is apart any more': twin<[string, number, number, string | null]>(
    (call, worker, fence, id, isolation) => {
      if (held(call, worker, fence, id) === null) return 0
      const isThere = (row: { destination: number }) => row.destination === id
      if (call.t.apart.all().some(isThere) || call.t.waiting_rooms.all().some(isThere)) return 0
      call.t.destinations.change(id, {
        isolation: isolation === null ? null : (JSON.parse(isolation) as Isolation),
      })
      return 1
    },
  ),
  'what is set aside is due': twin<[number, number]>((call, id, at) => {
    const those = ofDestination(call, id).filter(({ grp, next_at }) => grp === null && (next_at ?? 0) > at)
    for (const one of those) call.t.apart.put(keyOf.apart(id, one.pos), { ...one, next_at: at })
    return those.length
  }),
  'rooms that are held are due': twin<[number, number]>(({ t }, id, at) => {
    const those = t.waiting_rooms
      .all()
      .filter(
        ({ destination, held_since, next_at }) =>
          destination === id && held_since !== null && (next_at ?? 0) > at,
      )
    for (const one of those) t.waiting_rooms.put(keyOf.waits(id, one.room), { ...one, next_at: at })
    return those.length
  }),
  'hold a room no more': twin<[number]>((call, id) => {
    const waits = ofDestination(call, id).filter(({ grp, next_at }) => grp === null && next_at === null)
    const those = call.t.waiting_rooms
      .all()
      .filter(({ destination, held_since }) => destination === id && held_since !== null)
      .filter(({ room }) => !waits.some((one) => one.room === room))
    for (const one of those)
      call.t.waiting_rooms.put(keyOf.waits(id, one.room), {
        ...one,
        held_since: null,
        tries: 0,
        next_at: null,
      })
    return those.length
  }),
  'what a room has missed': twin<[number, number, number, number, number]>((call, ...values) =>
    missed(call, ...values).map((pos) => ({ pos })),
  ),
  'sticky events of held rooms go alone': twin<[string, number, number, number]>(
    (call, worker, fence, id, now) => {
      const { t, rules } = call
      if (held(call, worker, fence, id) === null) return 0
      let taken = 0
      for (const s of t.sticky.all().sort((a, b) => a.pos - b.pos)) {
        const room = t.waiting_rooms.get(keyOf.waits(id, s.room))
        const event = t.events.get(s.pos)
        if (room === undefined || room.held_since === null || s.pos <= room.cursor || s.expires_at <= now)
          continue
        if (
          event === undefined ||
          !entitled(rules, t, event, id) ||
          !notSent(t, id, s) ||
          isApart(t, id, s.pos)
        )
          continue
        putApart(call, { destination: id, pos: s.pos, room: s.room, lane: 't', grp: null, since: now })
        t.apart.change(keyOf.apart(id, s.pos), { next_at: now })
        taken += 1
      }
      return taken
    },
  ),
  'a room goes on': twin<Move>((call, ...values) => {
    const [worker, fence, id, room, cursor, positions, now, ends, position] = values
    const { t } = call
    if (held(call, worker, fence, id)?.position !== position) return 0
    const grp = Math.max(0, ...ofDestination(call, id).map((row) => row.grp ?? 0)) + 1
    for (const pos of positions)
      putApart(call, { destination: id, pos, room, lane: 't', grp, since: now }, NO_SUSPECT)
    const key = keyOf.waits(id, room)
    const row = t.waiting_rooms.get(key)
    if (row === undefined) return 0
    if (ends) t.waiting_rooms.delete(key)
    else t.waiting_rooms.put(key, { ...row, cursor: Math.max(row.cursor, cursor) })
    return ends ? 0 : 1
  }),
} satisfies Twins
