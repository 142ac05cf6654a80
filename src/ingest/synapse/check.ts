/**
 * Can this Synapse's database be read? Asked before a daemon does: the checks of its first look, and every column that
 * its statements use. It reads no rows of those tables.
 */
import type { Db } from '../../store/db.ts'
import { refusalOf, SynapseRefused } from './refused.ts'
import { checkServerName, checkStateGroups, readStreamEnd } from './safe-head.ts'
import { sql, variants } from '../../store/statement.ts'

/** What the statements of this folder read; docs/synapse.md has the grants. */
export const COLUMNS: Readonly<Record<string, string>> = {
  stream_positions: 'stream_name, instance_name, stream_id',
  events: 'event_id, type, room_id, sender, state_key, stream_ordering, outlier, rejection_reason',
  event_json: 'event_id, internal_metadata, json',
  event_auth: 'event_id, auth_id',
  rejections: 'event_id',
  redactions: 'event_id, redacts, recheck',
  room_ban_redactions: 'room_id, user_id, redacting_event_id, redact_end_ordering',
  rooms: 'room_id, room_version',
  room_memberships: 'event_id, user_id, room_id, membership',
  current_state_events: 'room_id, type, state_key, membership',
  current_state_delta_stream: 'stream_id, room_id, type, state_key, event_id, prev_event_id',
  event_to_state_groups: 'event_id, state_group',
  state_group_edges: 'state_group, prev_state_group',
  state_groups_state: 'state_group, type, state_key, event_id',
  partial_state_rooms_servers: 'room_id, server_name',
}

const SELECT_ENCODING = sql(
  'which encoding has Synapse',
  `select current_setting('server_encoding') as encoding`,
)

const selectColumns = variants('can the columns be read')

/** @throws SynapseRefused where this Synapse must not or cannot be read; else what the database says */
export async function checkSynapse(db: Db, serverName: string): Promise<void> {
  try {
    const { rows } = await db.query<{ encoding: string }>(SELECT_ENCODING)
    if (rows[0]?.encoding !== 'UTF8')
      throw new SynapseRefused(
        `the database has the encoding ${rows[0]?.encoding ?? 'unknown'}, but Synapse needs UTF8`,
      )
    await checkServerName(db, serverName)
    await readStreamEnd(db, { after: null, asked: [] })
    await checkStateGroups(db)
    for (const [table, columns] of Object.entries(COLUMNS))
      await db.query(selectColumns(`select ${columns} from ${table} limit 0`))
  } catch (error) {
    throw refusalOf(error)
  }
}
