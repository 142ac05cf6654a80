/**
 * Would a receiver of these device list updates have to ask for the whole list again?
 *
 * Spec, server-server API, "Device Management": "If a server receives an EDU which refers to a `prev_id` it does not
 * recognise, it must resynchronise its list"; after that it goes on from there. An update without `prev_id` begins a
 * sequence, so one that follows others has lost them.
 */
import { makeBoundedMap } from './bounded.ts'
import type { DeviceListPart } from './edu-parts.ts'

/** `again`: this update came before. `broken`: a receiver would resync. */
export type ChainLink = 'first' | 'unbroken' | 'broken' | 'again'

/** Of so many users, so many of the newest `stream_id`s. */
const MOST_USERS = 10_000
const MOST_IDS = 100

/** Says of each update, in the order of their arrival, how it follows the earlier ones of its user. */
export function makeDeviceChains(): (update: DeviceListPart) => ChainLink {
  const users = makeBoundedMap<Set<number>>(MOST_USERS)
  return ({ userId, streamId, prevIds }) => {
    const known = users.kept.get(userId) ?? new Set<number>()
    users.set(userId, known)
    if (known.has(streamId)) return 'again'
    const begins = known.size === 0 && prevIds.length === 0
    const follows = prevIds.length > 0 && prevIds.every((id) => known.has(id))
    known.add(streamId)
    const [oldest] = known
    if (known.size > MOST_IDS && oldest !== undefined) known.delete(oldest)
    return begins ? 'first' : follows ? 'unbroken' : 'broken'
  }
}
