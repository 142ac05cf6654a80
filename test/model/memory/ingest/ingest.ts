/** `store/{stream,ingest-state,ingest-effects,lock-destinations,advice}.ts`: what ingest reads and writes. */
import type { StagedChange, StagedRecipients } from '../../../../src/store/ingest/effects.ts'
import { greatest, headOf, inRoomNow, least, narrow } from '../rules.ts'
import { keyOf, type DestinationRow } from '../rows.ts'
import { twin, type Twins } from '../statement.ts'

const APPEND_LOCK = 0x6c696d71

export const NEW_DESTINATION: Omit<
  DestinationRow,
  'id' | 'name' | 'position' | 'durable_pos' | 'ephemeral_pos'
> = {
  lease_owner: null,
  fence: 0,
  follows: false,
  wake_seq: 0,
  narrowed_seq: 0,
  look_at: null,
  missed: 0,
  paused: false,
  skip_upto: null,
  ephemeral_at: null,
  edu_alone: false,
  quick: false,
  lists: false,
  isolation: null,
  failures: 0,
  failing_since: null,
  retry_at: null,
  retry_interval: null,
  hold_kind: null,
  hold_until: null,
  advice_at: null,
  advice_up: false,
  advice_after: null,
  advice_step: null,
  asked_at: null,
  deadline_at: null,
  tried_at: null,
  deadline_tries: null,
  timeout_ms: null,
  last_success: null,
  attempt_seq: 0,
  turn_key: null,
}

const reads = {
  lock: twin<[number]>(({ lock }, key) => {
    lock(key === APPEND_LOCK ? 'stream' : 'content', 'exclusive')
    return [{}]
  }),
  'share the content lock': twin<[]>(({ lock }) => {
    lock('content', 'shared')
    return [{}]
  }),
  'read the head to append': twin<[string[]?, string[]?, string[]?]>(
    ({ t, now }, sources, rooms = [], ids = []) => {
      const row = { head: headOf(t), now, log_end: t.stream.get(1)?.log_end }
      if (sources === undefined) return [row]
      const tokens = t.sources.all().filter(({ source }) => sources.includes(source))
      const known = t.rooms.all().filter(({ room_id }) => rooms.includes(room_id))
      const there = ids.flatMap((id) => t.event_ids.get(id) ?? [])
      return [
        {
          ...row,
          tokens: tokens.map(({ source, source_token }) => [source, source_token]),
          rooms: known.map((room) => [room.id, room.room_id, room.room_version, room.known]),
          positions: there.map(({ event_id, pos }) => [event_id, pos]),
        },
      ]
    },
  ),
  'read the time': twin<[]>(({ now }) => [{ now }]),
  'read the head': twin<[]>(({ t }) => [{ head: headOf(t) }]),
  'draw room ids': twin<[number]>(({ next }, count) =>
    Array.from({ length: count }, () => ({ id: next('rooms') })),
  ),
  'draw destination ids': twin<[number]>(({ next }, count) =>
    Array.from({ length: count }, () => ({ id: next('destinations') })),
  ),
  'read destinations': twin<[string[]]>(({ t }, names) =>
    t.destinations
      .all()
      .filter(({ name }) => names.includes(name))
      .map(({ id, name }) => ({ id, name })),
  ),
  'read members': twin<[string[], string[], string[]]>(({ t }, whole, some, names) =>
    t.memberships.all().flatMap((m) => {
      const room_id = t.rooms.get(m.room)?.room_id ?? ''
      const d = t.destinations.get(m.destination)
      if (m.until !== null || d === undefined) return []
      const asked = whole.includes(room_id) || (some.includes(room_id) && names.includes(d.name))
      return asked ? [{ room_id, name: d.name, id: d.id }] : []
    }),
  ),
  'read sticky rooms': twin<[string[], number]>(({ t }, ids, at) =>
    t.rooms
      .all()
      .filter(
        ({ id, room_id }) =>
          ids.includes(room_id) && t.sticky.all().some((s) => s.room === id && s.expires_at > at),
      )
      .map(({ room_id }) => ({ room_id })),
  ),
  'is anything sticky': twin<[number, number]>(({ t }, room, at) => [
    { has: t.sticky.all().some((s) => s.room === room && s.expires_at > at) },
  ]),
  'lock the destinations concerned': twin<[number[], number[], number[], number[]]>(
    ({ t }, advised, rooms, purged, losing) => {
      const them = new Set<number>(losing)
      for (const id of advised) {
        const d = t.destinations.get(id)
        if (d !== undefined && (d.failures > 0 || d.hold_until !== null)) them.add(id)
      }
      for (const row of t.sticky_owed.all()) {
        if (row.room !== null && rooms.includes(row.room)) them.add(row.destination)
      }
      for (const m of t.memberships.all()) {
        if (m.until === null && purged.includes(m.room)) them.add(m.destination)
      }
      for (const { destination, pos } of t.replays.all()) {
        if (purged.includes(t.events.get(pos)?.room ?? -1)) them.add(destination)
      }
      const sorted = [...them].sort((a, b) => a - b)
      for (const id of sorted) t.destinations.lock(id)
      return sorted.map((id) => ({ id }))
    },
  ),
} satisfies Twins

type InsertEvents = [
  ...[number[], number[], string[], string[], string[], (number | null)[], (number | null)[], number],
  ...[touched: number[], heads: number[], versions: (string | null)[], known: boolean[], odd: number[]],
]

const writes = {
  'move the head': twin<[number, string[], string[]]>(({ t }, head, sources, tokens) => {
    for (const [i, source] of sources.entries())
      t.sources.put(source, { source, source_token: tokens[i] ?? null })
    if (headOf(t) === head) return 0
    t.stream.change(1, { head })
    return 1
  }),
  'insert rooms': twin<[number[], string[]]>(({ t }, ids, names) => {
    for (const [i, id] of ids.entries()) {
      t.rooms.put(id, { id, room_id: names[i] ?? '', room_version: null, head: 0, known: false })
    }
    return ids.length
  }),
  'insert destinations': twin<[number[], string[], number[]]>(({ t }, ids, names, positions) => {
    for (const [i, id] of ids.entries()) {
      const position = positions[i] ?? 0
      const cursors = { position, durable_pos: position, ephemeral_pos: position }
      const row = { ...NEW_DESTINATION, id, name: names[i] ?? '', ...cursors }
      t.destinations.put(id, row)
    }
    return ids.length
  }),
  'store recipients': twin<[string]>(({ t, next }, json) => {
    const lists = JSON.parse(json) as (StagedRecipients & { hash: string })[]
    return lists.map(({ hash, exact, list, less, head, durableHead, eduHead }) => {
      // The sequence is drawn from before the conflict is seen.
      const fresh = next('recipients')
      const before = t.recipients.get(hash)
      const id = before?.id ?? fresh
      t.recipients.put(hash, {
        ...{ id, hash, exact, list, less },
        head: Math.max(before?.head ?? 0, head),
        durable_head: Math.max(before?.durable_head ?? 0, durableHead),
        edu_head: Math.max(before?.edu_head ?? 0, eduHead),
      })
      return { hash, id }
    })
  }),
  'insert events': twin<InsertEvents>(
    ({ t }, pos, rooms, ids, senders, pdus, until, recipients, at, touched, heads, versions, known, odd) => {
      for (const [i, id] of touched.entries()) {
        const room = t.rooms.get(id)
        t.rooms.change(id, {
          head: Math.max(room?.head ?? 0, heads[i] ?? 0),
          room_version: versions[i] ?? room?.room_version ?? null,
          known: room?.known === true || known[i] === true,
        })
      }
      for (const [i, one] of pos.entries()) {
        const event_id = ids[i] ?? ''
        const room = rooms[i] ?? 0
        const sticky_until = until[i] ?? null
        t.event_ids.put(event_id, { event_id, pos: one, at })
        if (sticky_until !== null && sticky_until > at) {
          t.sticky.put(one, { pos: one, room, expires_at: sticky_until })
        }
        t.events.put(one, {
          ...{ pos: one, room, event_id, sender: senders[i] ?? '', pdu: pdus[i] ?? '' },
          ...{
            received_ts: at,
            sticky_until,
            recipients: recipients[i] ?? null,
            odd: odd.includes(one) || null,
          },
        })
      }
      return pos.length
    },
  ),
  'insert changes': twin<[string]>(({ t, now }, json) => {
    const changes = JSON.parse(json) as StagedChange[]
    for (const { pos, room, added, removed } of changes) {
      t.changes.put(pos, { pos, kind: 'servers', room, target: null, added, removed, at: now })
    }
    return changes.length
  }),
  'end memberships': twin<[number[], number[], number[]]>(({ t }, rooms, destinations, until) => {
    const which = t.memberships.all().filter((m) => m.until === null)
    const ended: number[] = []
    for (const m of which) {
      const i = rooms.findIndex((room, at) => room === m.room && destinations[at] === m.destination)
      if (i < 0) continue
      t.memberships.put(keyOf.membership(m), { ...m, until: until[i] ?? null })
      ended.push(m.destination)
    }
    narrow(t, ended)
    return ended.length
  }),
  'begin memberships': twin<[number[], number[], number[], (number | null)[]]>(
    ({ t }, rooms, destinations, since, until) => {
      for (const [i, room] of rooms.entries()) {
        const m = { room, destination: destinations[i] ?? 0, since: since[i] ?? 0, until: until[i] ?? null }
        if (m.until === null && inRoomNow(t, m.destination, room)) throw new Error('two open memberships')
        t.memberships.put(keyOf.membership(m), m)
      }
      return rooms.length
    },
  ),
  'forget join replays': twin<[number[], number[]]>(({ t }, rooms, destinations) => {
    const keys = rooms.map((room, i) => keyOf.owed(destinations[i] ?? 0, room))
    const there = keys.filter((key) => t.sticky_owed.get(key) !== undefined)
    for (const key of there) t.sticky_owed.delete(key)
    return there.length
  }),
  'owe join replays': twin<[number[], number[], number[], number]>(({ t }, rooms, destinations, upto, at) => {
    for (const [i, room] of rooms.entries()) {
      const destination = destinations[i] ?? 0
      t.sticky_owed.put(keyOf.owed(destination, room), {
        ...{ destination, room, after_pos: 0, upto: upto[i] ?? 0, cursor: 0, created_at: at },
      })
    }
    return rooms.length
  }),
  advise: twin<[number[], number[], boolean]>(({ t, now }, ids, delays, up) => {
    let advised = 0
    for (const [i, id] of ids.entries()) {
      const d = t.destinations.get(id)
      if (d === undefined) continue
      t.destinations.lock(id)
      if (d.failures === 0 && d.hold_until === null) continue
      const at = greatest(now + (delays[i] ?? 0), d.advice_after)
      const earlier = d.advice_at !== null && d.advice_at > now ? d.advice_at : null
      t.destinations.change(id, {
        advice_at: least(earlier, at),
        advice_up: d.advice_up || up,
        wake_seq: d.wake_seq + 1,
        look_at: least(d.look_at, at),
      })
      advised += 1
    }
    return advised
  }),
} satisfies Twins

export const INGEST = { ...reads, ...writes }
