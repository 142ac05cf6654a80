/**
 * One of Synapse's stored events as an `event` item of the ingest API, before its checks. Pure.
 *
 * The result is null for what Synapse's own sender would not send: out-of-band memberships (the other server sends
 * those), events marked `proactively_send: false`, and other servers' events that this server was not asked to forward.
 * An event without parents (a room's first) goes to no server. If an invite is too large for a receiver, it goes without
 * its `invite_room_state`.
 */
import { canonicalText } from '../../matrix/canonical-json.ts'
import { domainOf } from '../../matrix/ids.ts'
import { isJsonObject, type JsonObject } from '../../matrix/json-value.ts'
import { objectIn } from './stored-json.ts'
import type { SynapseEvent } from './window.ts'

/**
 * What makes an event with the sticky field an ordinary one: an antispam check's word, or that it was soft-failed (Synapse
 * keeps those from clients, and judges them anew when the room's state changes; an event of ours never is in practice).
 */
const NOT_STICKY = ['policy_server_spammy', 'spam_checker_spammy', 'soft_failed']

/**
 * The item, or null for an event that does not go out.
 * @throws where what is stored cannot be read
 */
export function rawEvent(row: SynapseEvent, serverName: string): JsonObject | null {
  const metadata = objectIn(row.internal_metadata, 'internal_metadata')
  const pdu = objectIn(row.json, 'json')
  if (metadata['out_of_band_membership'] === true || metadata['proactively_send'] === false) return null
  const behalf = metadata['send_on_behalf_of']
  const sender = pdu['sender']
  if (typeof sender !== 'string') throw new TypeError('the JSON has no sender')
  const ours = domainOf(sender) === serverName
  if (!ours && typeof behalf !== 'string') return null
  const flagged = NOT_STICKY.some((key) => metadata[key] === true)
  // Before an event without parents the room has no state and no members.
  const first = Array.isArray(pdu['prev_events']) && pdu['prev_events'].length === 0
  return {
    type: 'event',
    room_id: row.room_id,
    // Rooms from before Synapse noted versions are of version 1.
    room_version: row.room_version ?? '1',
    event_id: row.event_id,
    pdu: asSent(pdu),
    // The server that gave us the event to forward has it.
    ...(first ? { to: [] } : typeof behalf === 'string' ? { not_to: [behalf] } : {}),
    ...(flagged ? { sticky: false } : {}),
  }
}

/** What a receiver counts of a PDU, `unsigned` included: a larger one it refuses, and Synapse never keeps it. */
const MAX_PDU_BYTES = 65_536
/** What an invite or a knock says of its room, for a user who is not in it yet: the room's servers need none of it. */
const ROOM_STATES = ['invite_room_state', 'knock_room_state']

/**
 * `unsigned.age_ts` is Synapse's own note (its clock when the event was made); `unsigned` is neither hashed nor signed. Synapse leaves a
 * room's state out of an invite that it makes too large, but the invited server signs the invite after that.
 */
function asSent(pdu: JsonObject): JsonObject {
  const { unsigned } = pdu
  if (!isJsonObject(unsigned)) return pdu
  const sent = Object.hasOwn(unsigned, 'age_ts') ? without(pdu, unsigned, ['age_ts']) : pdu
  if (!ROOM_STATES.some((key) => Object.hasOwn(unsigned, key))) return sent
  const bytes = Buffer.byteLength(canonicalText(sent, { oddNumbers: 'keep' }))
  return bytes > MAX_PDU_BYTES ? without(pdu, unsigned, ['age_ts', ...ROOM_STATES]) : sent
}

function without(pdu: JsonObject, unsigned: JsonObject, keys: readonly string[]): JsonObject {
  const rest = Object.entries(unsigned).filter(([key]) => !keys.includes(key))
  return { ...pdu, unsigned: Object.fromEntries(rest) }
}
