/**
 * Puts thousands of messages into a Synapse's tables, each like one that a client sent: real events, signed by the homeserver. Sent
 * one by one through the client API they would take minutes.
 */
import { readFile } from 'node:fs/promises'
import { eventIdOf } from '../../../src/matrix/event-id.ts'
import { isJsonObject } from '../../../src/matrix/json-value.ts'
import { signEvent } from '../../../src/matrix/make-pdu.ts'
import { roomVersion } from '../../../src/matrix/room-versions.ts'
import { readSigningKey } from '../../../src/matrix/signing.ts'
import { parseJson } from '../../../src/matrix/strict-json.ts'
import { inside } from './inside.ts'
import type { Synapse } from './synapse.ts'

// Their numbers are drawn as Synapse draws them; the next event that it writes says that they are finished.
const COPY = `
  with drawn as (
    select m.id, m.json, nextval('events_stream_seq') as at from unnest($2::text[], $3::text[]) m (id, json)
  ), e as (
    insert into events (event_id, stream_ordering, topological_ordering, depth, type, room_id, processed, outlier, origin_server_ts,
                        received_ts, sender, contains_url, instance_name)
    select d.id, d.at, s.depth + 1, s.depth + 1, s.type, s.room_id, true, false, s.origin_server_ts, s.received_ts, s.sender, false,
           s.instance_name
      from drawn d, events s where s.event_id = $1
  ), g as (
    insert into event_to_state_groups (event_id, state_group)
    select d.id, s.state_group from drawn d, event_to_state_groups s where s.event_id = $1
  )
  insert into event_json (event_id, room_id, internal_metadata, json, format_version)
  select d.id, s.room_id, '{}', d.json, s.format_version from drawn d, event_json s where s.event_id = $1`

/** `count` messages after the one called `eventId`, by its sender, with bodies that begin with `body`; resolves to their ids. */
export async function addMessages(
  synapse: Synapse,
  {
    eventId,
    count,
    body,
    version = '12',
  }: { eventId: string; count: number; body: string; version?: string },
): Promise<string[]> {
  const rules = roomVersion(version)
  if (rules === null) throw new Error(`room version ${version} is not known`)
  const key = readSigningKey(await readFile(synapse.signingKeyPath, 'utf8'))
  return inside(synapse, async (db) => {
    const found = await db.query<{ json: string }>('select json from event_json where event_id = $1', [
      eventId,
    ])
    const like = parseJson(found.rows[0]?.json ?? 'null')
    if (!isJsonObject(like)) throw new Error('the message is not there')
    const depth = Number(like['depth']) + 1
    const made = Array.from({ length: count }, (_, i) => {
      const content = { msgtype: 'm.text', body: `${body} ${i}` }
      const draft = {
        ...like,
        content,
        depth,
        prev_events: [eventId],
        hashes: {},
        signatures: {},
        unsigned: {},
      }
      const pdu = signEvent(draft, key, synapse.serverName, rules)
      return { id: eventIdOf(pdu, rules) ?? '', json: JSON.stringify(pdu) }
    })
    const ids = made.map(({ id }) => id)
    await db.query(COPY, [eventId, ids, made.map(({ json }) => json)])
    return ids
  })
}
