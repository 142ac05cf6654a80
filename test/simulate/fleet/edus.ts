/** EDUs as a sender would put them into a transaction, and a body of them: for tests of those who receive them. */
import { canonicalFromValue } from '../../../src/matrix/canonical-json.ts'
import { assembleTransaction } from '../../../src/matrix/transaction.ts'
import { origin } from '../../wire/setting.ts'

export const ROOM = '!r:limpet.example'
/** One of the sender's users. */
export const ALICE = `@alice:${origin}`

export interface AnEdu {
  readonly edu_type: string
  readonly content: object
}

export const typing = (is: boolean, { room = ROOM, user = ALICE } = {}): AnEdu => ({
  ...{ edu_type: 'm.typing', content: { room_id: room, user_id: user, typing: is } },
})

export function receipt(eventId: string, thread: string | null = null, { room = ROOM, ts = 1 } = {}): AnEdu {
  const data = thread === null ? { ts } : { ts, thread_id: thread }
  const content = { [room]: { 'm.read': { [ALICE]: { event_ids: [eventId], data } } } }
  return { edu_type: 'm.receipt', content }
}

export function presence(...users: readonly (readonly [user: string, is: string])[]): AnEdu {
  const push = users.map(([user, is]) => ({ user_id: user, presence: is, last_active_ago: 10 }))
  return { edu_type: 'm.presence', content: { push } }
}

export const deviceList = (streamId: number, prevIds: readonly number[], user = ALICE): AnEdu => ({
  edu_type: 'm.device_list_update',
  content: { user_id: user, device_id: `D${streamId}`, stream_id: streamId, prev_id: prevIds },
})

export const signingKeys = (key: string, type = 'm.signing_key_update'): AnEdu => ({
  ...{ edu_type: type, content: { user_id: ALICE, master_key: { keys: { key } } } },
})

export const toDevice = (id: string, to: string, sender = ALICE): AnEdu => ({
  edu_type: 'm.direct_to_device',
  content: { sender, type: 'm.room_key', message_id: id, messages: { [to]: { D: {} } } },
})

/** A transaction of these EDUs alone; `pduIds`: and of PDUs that carry these ids. */
export function bodyOf(
  edus: readonly object[],
  { pduIds = [] as string[], originServerTs = 1_700_000_000_000 } = {},
) {
  return assembleTransaction({
    ...{ origin, originServerTs },
    pduTexts: pduIds.map((id) => JSON.stringify({ event_id: id, room_id: ROOM })),
    eduTexts: edus.map((edu) => canonicalFromValue(edu)),
  })
}
