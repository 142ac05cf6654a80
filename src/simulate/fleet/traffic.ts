/**
 * The homeserver's side of the story: it makes signed events out of what is planned, sends them to limpet, and records
 * what limpet was told.
 */
import type { Clock } from '../../pace/clock.ts'
import { makePdu } from '../../matrix/make-pdu.ts'
import type { SigningKey } from '../../matrix/signing.ts'
import type { EduToTell, ToldEdu } from '../story/edu-told.ts'
import type { Batch, PlannedEvent } from '../story/plan.ts'
import type { Told } from '../story/record.ts'
import { makeClaims } from '../verdict/claims.ts'
import type { Claims } from '../verdict/claims.ts'
import { makeEduClaims } from '../verdict/edu-claims.ts'
import type { EduClaims } from '../verdict/edu-claims.ts'

export interface TrafficNeeds {
  readonly serverName: string
  readonly key: SigningKey
  readonly clock: Clock
  /** Names of the fleet's servers, by index. */
  readonly servers: readonly string[]
  /** Hands items to limpet, all or nothing; throws unless they were taken. */
  readonly ingest: (items: readonly object[]) => Promise<void>
}

export interface Traffic {
  readonly told: readonly Told[]
  /** The same, as far as it got: who should have what by now. */
  readonly claims: Claims
  /** Who should have which EDUs by now. */
  readonly eduClaims: EduClaims
  /** Events handed over so far. */
  readonly events: number
  /** One request, with EDUs behind the rest of it. */
  send(batch: Batch, edus?: readonly EduToTell[]): Promise<void>
  /** One request of EDUs. */
  say(edus: readonly EduToTell[]): Promise<void>
  /** Who is in these rooms from now on. */
  join(rooms: readonly { room: number; servers: readonly number[] }[]): Promise<void>
  roomId(room: number): string
}

const ROOM_VERSION = '11'
/** Of one request; limpet takes 1,000. */
const MOST_ITEMS = 500

interface ReadyItem {
  readonly item: object
  /** What is written down once it was taken. */
  readonly told: (times: { at: number; takenAt: number }) => Told | ToldEdu
}

export function makeTraffic({ serverName, key, clock, servers, ingest }: TrafficNeeds): Traffic {
  const told: Told[] = []
  const claims = makeClaims()
  const eduClaims = makeEduClaims(serverName)
  const newest = new Map<number, { eventId: string; depth: number }>()
  let events = 0
  const roomId = (room: number) => `!room${room}:${serverName}`
  const named = (indices: readonly number[]) => indices.map((index) => servers[index] ?? '')

  async function hand(ready: readonly ReadyItem[]): Promise<void> {
    for (let from = 0; from < ready.length; from += MOST_ITEMS) {
      const part = ready.slice(from, from + MOST_ITEMS)
      const at = clock.now()
      await ingest(part.map(({ item }) => item))
      const takenAt = clock.now()
      for (const one of part) {
        const item = one.told({ at, takenAt })
        eduClaims.take(item)
        if (item.kind === 'edu') continue
        told.push(item)
        claims.take(item)
        if (item.kind === 'event') events += 1
      }
    }
  }

  function speak({ room, stickyMs, to, body }: PlannedEvent): ReadyItem {
    const now = clock.now()
    const before = newest.get(room)
    const depth = (before?.depth ?? 0) + 1
    const { eventId, pdu } = makePdu(
      {
        roomId: roomId(room),
        type: 'm.room.message',
        sender: `@somebody:${serverName}`,
        originServerTs: now,
        content: { body, msgtype: 'm.text' },
        depth,
        prevEvents: before === undefined ? [] : [before.eventId],
        ...(stickyMs === null ? {} : { more: { msc4354_sticky: { duration_ms: stickyMs } } }),
      },
      key,
      ROOM_VERSION,
    )
    newest.set(room, { eventId, depth })
    const names = to === null ? null : named(to)
    const stickyUntil = stickyMs === null ? null : now + stickyMs
    return {
      item: {
        type: 'event',
        room_id: roomId(room),
        room_version: ROOM_VERSION,
        event_id: eventId,
        pdu,
        ...(names === null ? {} : { to: names }),
      },
      told: (times) => ({ kind: 'event', room: roomId(room), eventId, stickyUntil, to: names, ...times }),
    }
  }

  function change(kind: 'join' | 'leave', room: number, indices: readonly number[]): ReadyItem {
    const names = named(indices)
    return {
      item: { type: 'servers', room_id: roomId(room), [kind === 'join' ? 'add' : 'remove']: names },
      told: (times) => ({ kind, room: roomId(room), servers: names, ...times }),
    }
  }

  const eduOf = (item: EduToTell): ReadyItem => ({ item, told: (times) => ({ kind: 'edu', item, ...times }) })

  return {
    told,
    claims,
    eduClaims,
    get events() {
      return events
    },
    roomId,
    send: (batch, edus = []) =>
      hand([
        ...batch.map((one) => (one.kind === 'event' ? speak(one) : change('leave', one.room, [one.server]))),
        ...edus.map(eduOf),
      ]),
    say: (edus) => hand(edus.map(eduOf)),
    join: (rooms) => hand(rooms.map(({ room, servers: who }) => change('join', room, who))),
  }
}
