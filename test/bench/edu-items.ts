/** EDUs as a homeserver hands them over, with ids as long as real ones. */
import { createHash } from 'node:crypto'
import { OURS } from './events.ts'

const digest = (seed: string) => createHash('sha256').update(seed).digest('base64url')
const item = (edu: object) => JSON.stringify({ type: 'edu', ...edu })

/** Names of users that are as long as names are. */
export const userOf = (n: number) => `@member.number-${n}:${OURS}`

export const typingItem = (room: string, user: string, typing: boolean) =>
  item({ edu_type: 'm.typing', content: { room_id: room, user_id: user, typing }, rooms: [room] })

/** `n`: of the event that was read. */
export const receiptItem = (room: string, user: string, n: number) =>
  item({
    edu_type: 'm.receipt',
    content: {
      [room]: {
        'm.read': {
          [user]: { data: { ts: Date.now(), thread_id: 'main' }, event_ids: [`$${digest(`${n}`)}`] },
        },
      },
    },
    rooms: [room],
  })

/** `n`: the number of the change, by which receivers know it. */
export const presenceItem = (rooms: readonly string[], user: string, n: number) =>
  item({
    edu_type: 'm.presence',
    content: {
      push: [
        {
          ...{
            user_id: user,
            presence: n % 3 === 0 ? 'unavailable' : 'online',
            currently_active: n % 3 !== 0,
          },
          ...{ last_active_ago: 1_000 + (n % 9_000), status_msg: String(n) },
        },
      ],
    },
    rooms,
  })

/** An encrypted message to one device; `n` is in its `message_id`. `bytes`: of its ciphertext. */
export const toDeviceItem = (
  destination: string,
  sender: string,
  { n, bytes }: { n: number; bytes: number },
) =>
  item({
    edu_type: 'm.direct_to_device',
    content: {
      ...{ sender, type: 'm.room.encrypted', message_id: messageId(n) },
      messages: {
        [`@bob:${destination}`]: { [digest(`device ${n}`).slice(0, 10).toUpperCase()]: secret(n, bytes) },
      },
    },
    destinations: [destination],
  })

export const messageId = (n: number) => `m${n}`

// What can't be compressed, as ciphertext.
const secret = (n: number, bytes: number) => {
  let ciphertext = ''
  for (let i = 0; ciphertext.length < bytes; i += 1) ciphertext += digest(`${n} ${i}`)
  return {
    ...{ algorithm: 'm.olm.v1.curve25519-aes-sha2', sender_key: digest(`key ${n}`) },
    ciphertext: { [digest(`to ${n}`)]: { type: 1, body: ciphertext.slice(0, bytes) } },
  }
}
