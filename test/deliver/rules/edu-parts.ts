/** EDUs as a destination's lanes hold them, for tests of what is chosen of them. */
import type { StoredEdu } from '../../../src/store/delivery/edus.ts'
import type { EduLane, EdusToPlan } from '../../../src/deliver/rules/edus-to-plan.ts'

export const NOW = 1_000_000
const HOUR = 3_600_000

export const part = (pos: number, change: Partial<StoredEdu> = {}): StoredEdu => ({
  pos,
  eduType: 'org.example.odd',
  content: `{"n":${pos}}`,
  receivedTs: NOW,
  expiresAt: null,
  durable: false,
  alone: false,
  key: null,
  who: null,
  ...change,
})
export const toDevicePart = (pos: number, change: Partial<StoredEdu> = {}) =>
  part(pos, { eduType: 'm.direct_to_device', durable: true, who: `m${pos}`, ...change })
export const deviceListPart = (pos: number, user: string) =>
  part(pos, { eduType: 'm.device_list_update', durable: true, who: user })
export const typingPart = (pos: number, user: string, isTyping: boolean, change: Partial<StoredEdu> = {}) =>
  part(pos, {
    eduType: 'm.typing',
    content: `{"room_id":"!r:a","typing":${isTyping},"user_id":"${user}"}`,
    expiresAt: NOW + 60_000,
    key: user,
    ...change,
  })
export const presencePart = (pos: number, user: string, change: Partial<StoredEdu> = {}) =>
  part(pos, {
    eduType: 'm.presence',
    content: `{"push":[{"last_active_ago":5,"presence":"online","user_id":"${user}"}]}`,
    expiresAt: NOW + 600_000,
    key: user,
    ...change,
  })
export const receiptPart = (
  pos: number,
  user: string,
  thread: string | null,
  change: Partial<StoredEdu> = {},
) => {
  const data = thread === null ? '{"ts":1}' : `{"thread_id":"${thread}","ts":1}`
  return part(pos, {
    eduType: 'm.receipt',
    content: `{"!r:a":{"m.read":{"${user}":{"data":${data},"event_ids":["$${pos}"]}}}}`,
    expiresAt: NOW + 24 * HOUR,
    key: `${user} ${thread ?? ''}`,
    ...change,
  })
}

/** All of them read. */
export const laneOf = (edus: readonly StoredEdu[] = [], change: Partial<EduLane> = {}): EduLane => ({
  cursor: 0,
  edus,
  upto: 10_000,
  ...change,
})
export const toPlan = (change: Partial<EdusToPlan> = {}): EdusToPlan => ({
  durable: laneOf(),
  ephemeral: laneOf(),
  head: 10_000,
  now: NOW,
  longOutage: false,
  off: new Set(),
  lastWasAlone: false,
  lastEphemeralAt: null,
  pdus: { wait: false, sticky: false, bytesLeft: 4_194_304 },
  ...change,
})
