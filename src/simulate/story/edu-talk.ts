/**
 * Traffic of EDUs as a homeserver with some users makes it: they type and stop, read, come and go, send messages to
 * devices, and change their devices. Items in the form of the ingest API (contract 3), the same ones for the same dice.
 *
 * Each user is in a few rooms, for ever. To-device messages have ids that no other has, and each user's device list
 * updates are one chain.
 */
import type { Dice } from './dice.ts'
import type { EduToTell } from './edu-told.ts'

export interface EduTalkNeeds {
  readonly dice: Dice
  /** Whose users they are. */
  readonly serverName: string
  readonly roomIds: readonly string[]
  /** Remote servers: to-device messages go to users of theirs. */
  readonly servers: readonly string[]
  /** Ms since the epoch. */
  readonly now: () => number
  /** Default 20. */
  readonly users?: number
  /** How often each kind is told: typing, receipts, presence, to-device messages, device lists, signing keys. */
  readonly weights?: readonly number[]
}

export interface EduTalk {
  /** The next `count` items. */
  say(count: number): EduToTell[]
  /** Everybody who is typing stops. A story ends with it, so that nobody types for ever. */
  stopTyping(): EduToTell[]
}

interface Talker {
  readonly userId: string
  readonly roomIds: readonly string[]
  /** Its last device list update, and devices that are not deleted. */
  streamId: number | null
  readonly devices: string[]
}

const KINDS = ['typing', 'receipt', 'presence', 'to-device', 'device list', 'signing keys'] as const
const WEIGHTS = [30, 40, 15, 10, 4, 1]
const THREADS = [null, null, 'main', '$root-of-a-thread'] as const
const PRESENCES = ['online', 'unavailable', 'offline'] as const
const MOST_ROOMS = 5
const MOST_PUSHED = 3

/** Throws where there are no rooms or no servers. */
export function makeEduTalk(needs: EduTalkNeeds): EduTalk {
  const { dice, serverName, roomIds, servers, now, weights = WEIGHTS } = needs
  if (roomIds.length === 0 || servers.length === 0) throw new RangeError('EDUs need rooms and servers')
  const talkers = Array.from({ length: needs.users ?? 20 }, (_, index): Talker => ({
    userId: `@user${index}:${serverName}`,
    roomIds: dice.some(roomIds, 1 + dice.below(MOST_ROOMS)),
    ...{ streamId: null, devices: [] },
  }))
  /** So that two talks with one limpet don't share ids. */
  const run = dice
    .below(2 ** 32)
    .toString(16)
    .padStart(8, '0')
  const typing = new Map<string, { room: string; user: string }>()
  let said = 0
  let streamId = 0
  const one = <T>(of: readonly T[]): T => of[dice.below(of.length)] as T

  function typingItem(room: string, user: string): EduToTell {
    const key = `${room} ${user}`
    const is = !typing.delete(key)
    if (is) typing.set(key, { room, user })
    const content = { room_id: room, user_id: user, typing: is }
    return { type: 'edu', edu_type: 'm.typing', content, rooms: [room] }
  }

  function receiptItem(room: string, user: string): EduToTell {
    const thread = one(THREADS)
    const data = { ts: now(), ...(thread === null ? {} : { thread_id: thread }) }
    const content = { [room]: { 'm.read': { [user]: { event_ids: [`$read-${run}-${said}`], data } } } }
    return { type: 'edu', edu_type: 'm.receipt', content, rooms: [room] }
  }

  /** Of a few users of one room at once; limpet cuts it. */
  function presenceItem(room: string): EduToTell {
    const there = talkers.filter((talker) => talker.roomIds.includes(room))
    const push = dice.some(there, 1 + dice.below(MOST_PUSHED)).map(({ userId }) => {
      const is = one(PRESENCES)
      const update = { user_id: userId, presence: is, last_active_ago: dice.below(60_000) }
      return is === 'online' ? { ...update, currently_active: true, status_msg: `busy with ${said}` } : update
    })
    return { type: 'edu', edu_type: 'm.presence', content: { push }, rooms: [room] }
  }

  function toDeviceItem(sender: string): EduToTell {
    const server = one(servers)
    const body = { algorithm: 'm.olm.v1.curve25519-aes-sha2', ciphertext: `nothing ${said}` }
    const content = {
      ...{ sender, type: 'm.room.encrypted', message_id: `${run}.${said}` },
      messages: { [`@reader${dice.below(3)}:${server}`]: { [`DEVICE${dice.below(2)}`]: body } },
    }
    return { type: 'edu', edu_type: 'm.direct_to_device', content, destinations: [server] }
  }

  function deviceItem(talker: Talker): EduToTell {
    const { userId, devices } = talker
    streamId += 1 + dice.below(3)
    const deleted = devices.length > 2
    const device = (deleted ? devices.shift() : undefined) ?? `DEVICE${said}`
    if (!deleted) devices.push(device)
    const content = {
      ...{ user_id: userId, device_id: device, stream_id: streamId },
      prev_id: talker.streamId === null ? [] : [talker.streamId],
      ...(deleted ? { deleted } : { device_display_name: `device ${said}` }),
    }
    talker.streamId = streamId
    return { type: 'edu', edu_type: 'm.device_list_update', content, rooms: talker.roomIds }
  }

  /** As homeservers do it: under the stable and the unstable name, an item each. */
  function keyItems({ userId, roomIds: rooms }: Talker): EduToTell[] {
    const key = { user_id: userId, usage: ['master'], keys: { [`ed25519:${run}${said}`]: `${run}${said}` } }
    const content = { user_id: userId, master_key: key }
    return ['m.signing_key_update', 'org.matrix.signing_key_update'].map((type) => {
      return { type: 'edu', edu_type: type, content, rooms }
    })
  }

  function next(): EduToTell[] {
    said += 1
    const talker = one(talkers)
    const room = one(talker.roomIds)
    switch (KINDS[dice.weighted(weights)]) {
      case 'typing':
        return [typingItem(room, talker.userId)]
      case 'receipt':
        return [receiptItem(room, talker.userId)]
      case 'presence':
        return [presenceItem(room)]
      case 'to-device':
        return [toDeviceItem(talker.userId)]
      case 'device list':
        return [deviceItem(talker)]
      default:
        return keyItems(talker)
    }
  }

  return {
    say(count) {
      const items: EduToTell[] = []
      while (items.length < count) items.push(...next())
      return items
    },
    stopTyping: () => [...typing.values()].map(({ room, user }) => typingItem(room, user)),
  }
}
