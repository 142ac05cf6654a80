/** Which events one homeserver sent to another one's gate, in which transactions, and what the answers said. */
import { eventIdOf } from '../../../src/matrix/event-id.ts'
import { roomVersion } from '../../../src/matrix/room-versions.ts'
import { type Knock, listedIn, pdusOf } from './gate.ts'
import type { Synapse } from './synapse.ts'

export interface Arrival {
  readonly eventId: string
  readonly txnId: string
  readonly at: number
  /** Whether the answer listed it; null while there is none. */
  readonly listed: boolean | null
}

export interface RoomOf {
  readonly roomId: string
  /** The room's version, which says how its events are named. Default: that of this Synapse's default rooms. */
  readonly version?: string
}

const DEFAULT_VERSION = '12'

/** Every arrival of an event of the room at `to`, sent by `from`, in order; a repeated request counts again. */
export function arrivals(
  from: Synapse,
  to: Synapse,
  { roomId, version = DEFAULT_VERSION }: RoomOf,
): Arrival[] {
  const rules = roomVersion(version)
  if (rules === null) throw new Error(`room version ${version} is not known`)
  return sendsFrom(from, to).flatMap((knock) => {
    const listed = listedIn(knock)
    return pdusOf(knock)
      .filter((pdu) => pdu['room_id'] === roomId)
      .map((pdu) => {
        const eventId = eventIdOf(pdu, rules) ?? ''
        return { eventId, txnId: txnIdOf(knock), at: knock.at, listed: listed?.includes(eventId) ?? null }
      })
  })
}

/** The same as event ids, each once, in the order of their first arrival. */
export function arrivedIds(from: Synapse, to: Synapse, room: RoomOf): string[] {
  return [...new Set(arrivals(from, to, room).map(({ eventId }) => eventId))]
}

/** The `/send` requests with PDUs that `to` got from `from`. */
export function sendsFrom(from: Synapse, to: Synapse): Knock[] {
  return to.gate.knocks.filter((knock) => knock.origin === from.serverName && pdusOf(knock).length > 0)
}

export function txnIdOf({ path }: Knock): string {
  return decodeURIComponent(path.split('/').at(-1) ?? '')
}

/** Events that `to` had already listed in an answer when they came once more in another transaction. */
export function sentAgain(from: Synapse, to: Synapse, room: RoomOf): string[] {
  const listedIn = new Map<string, string>()
  const again = new Set<string>()
  for (const { eventId, txnId, listed } of arrivals(from, to, room)) {
    const first = listedIn.get(eventId)
    if (first !== undefined && first !== txnId) again.add(eventId)
    if (listed === true && first === undefined) listedIn.set(eventId, txnId)
  }
  return [...again]
}
