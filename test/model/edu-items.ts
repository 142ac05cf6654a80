/** The EDU that a command gives, and what of it is replaced and is over by itself: worked out here once more, as the contract has it (3). */
import type { JsonObject } from '../../src/matrix/json-value.ts'
import type { ModelItem, ModelPart, Sender, Server } from './driver.ts'
import { roomIdOf, userIdOf } from './producer.ts'
import { HOUR, MINUTE, ROOMS, type GivesEdus } from './schedule.ts'

type EduItem = Extract<ModelItem, { type: 'edu' }>

/** What presence says when it comes, ms: it grows while it waits. */
export const AGO_MS = 1_000

const ALL_ROOMS = Array.from({ length: ROOMS }, (_, room) => room)

/** `next`: a number that nothing has yet. */
export function eduItem(one: GivesEdus, next: () => number): ModelItem {
  const { kind, user, room, on, ttlMs, alone } = one
  const n = next()
  const pad = 'x'.repeat(one.size)
  const who = userIdOf(user)
  const lists: Partial<Record<GivesEdus['to'], Server[]>> = {
    us: ['us'],
    both: ['us', 'other'],
    other: ['other'],
  }
  const to = lists[one.to] ?? null
  const shared = { type: 'edu' as const, key: null, ttlMs, alone, to }
  const rooms = to !== null ? null : one.to === 'rooms' ? ALL_ROOMS : [room]
  const ofRoom = { ...shared, to: null, rooms: [room], durable: false }
  const part = (over: Partial<ModelPart>): ModelPart => ({
    ...{ n, key: null, deviceListOf: null },
    ...over,
    ttlMs: ttlMs ?? over.ttlMs ?? null,
  })
  switch (kind) {
    case 'message': {
      const content = { sender: who, type: 'm.room.encrypted', message_id: `m${n}`, messages: { n, pad } }
      return { ...shared, eduType: 'm.direct_to_device', content, rooms, durable: true, parts: [part({})] }
    }
    case 'device list': {
      const content = { user_id: who, device_id: 'D', stream_id: n, n, pad }
      const parts = [part({ deviceListOf: who })]
      return { ...shared, eduType: 'm.device_list_update', content, rooms, durable: true, parts }
    }
    case 'keyed': {
      const key = `the key of ${user}`
      const parts = [part({ key, ttlMs: on ? null : HOUR })]
      return { ...shared, eduType: 'org.example.keyed', content: { n, pad }, key, rooms, durable: on, parts }
    }
    case 'receipt':
    case 'receipts': {
      const users: Sender[] = kind === 'receipts' ? ['one', 'two'] : [user]
      const numbers = users.map((_, i) => (i === 0 ? n : next()))
      const receipt = (i: number): JsonObject => ({
        data: { ts: 1, ...(on ? {} : { thread_id: 'main' }), n: numbers[i] ?? 0 },
        event_ids: ['$e1'],
      })
      const byUser = Object.fromEntries(users.map((one, i) => [userIdOf(one), receipt(i)]))
      const key = (one: Sender) => `${room} ${one} ${on ? '' : 'main'}`
      const parts = users.map((one, i) => part({ n: numbers[i] ?? 0, key: key(one), ttlMs: 24 * HOUR }))
      return { ...ofRoom, eduType: 'm.receipt', content: { [roomIdOf(room)]: { 'm.read': byUser } }, parts }
    }
    case 'typing': {
      const content = { room_id: roomIdOf(room), user_id: who, typing: on, n }
      const parts = [part({ key: `${room} ${user}`, ttlMs: on ? MINUTE : 2 * MINUTE })]
      return { ...ofRoom, eduType: 'm.typing', content, parts }
    }
    case 'presence': {
      const push = [{ user_id: who, presence: on ? 'online' : 'offline', last_active_ago: AGO_MS, n, pad }]
      const parts = [part({ key: user, ttlMs: 10 * MINUTE })]
      return {
        ...shared,
        eduType: 'm.presence',
        content: { push },
        rooms,
        durable: false,
        parts,
      } satisfies EduItem
    }
    case 'other':
    case 'off':
      return {
        ...{ ...shared, eduType: `org.example.${kind}`, content: { n, pad }, rooms, durable: false },
        parts: [part({ ttlMs: HOUR })],
      }
  }
}
