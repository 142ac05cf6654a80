/** The rows of the tables that ingest, delivery and housekeeping touch, as the migrations make them. */
import type { TurnKey } from './turn-key.ts'
import type { Isolation } from '../../../src/store/isolation.ts'
import type { WaitRow } from '../../../src/store/waits.ts'

export interface DestinationRow extends WaitRow {
  id: number
  name: string
  position: number
  durable_pos: number
  ephemeral_pos: number
  ephemeral_at: number | null
  edu_alone: boolean
  lease_owner: string | null
  fence: number
  follows: boolean
  wake_seq: number
  narrowed_seq: number
  look_at: number | null
  missed: number
  paused: boolean
  skip_upto: number | null
  quick: boolean
  lists: boolean
  timeout_ms: number | null
  isolation: Isolation | null
  last_success: number | null
  attempt_seq: number
  turn_key: TurnKey | null
}

export interface EventRow {
  pos: number
  room: number
  event_id: string
  sender: string
  pdu: string
  received_ts: number
  sticky_until: number | null
  /** It is sent alone; null: it is not. */
  odd: true | null
  recipients: number | null
}

export interface RecipientsRow {
  id: number
  hash: string
  exact: boolean
  list: number[]
  less: number[]
  head: number
  durable_head: number
  edu_head: number
}

export interface EduRow {
  pos: number
  type: string
  content: string
  received_ts: number
  expires_at: number | null
  durable: boolean
  alone: true | null
  key: string | null
  who: string | null
  room: number | null
  rooms: number | null
  recipients: number | null
}

export interface ChangeRow {
  pos: number
  kind: string
  room: number | null
  target: number | null
  added: number[] | null
  removed: number[] | null
  at: number | null
}

export interface MembershipRow {
  room: number
  destination: number
  since: number
  until: number | null
}

export interface GapRow {
  id: number
  destination: number
  from_pos: number
  to_pos: number
  cursor: number
  batch: number
  closed_at: number | null
}

export interface OwedRow {
  destination: number
  room: number | null
  after_pos: number
  upto: number | null
  cursor: number
  created_at: number
}

export interface ReplayRow {
  destination: number
  pos: number
  state: 'sent' | 'unlisted' | 'lapsed'
  listed_at: number | null
  tries: number
  next_at: number | null
  expires_at: number
  at: number
}

export interface OpenRow {
  destination: number
  txn_id: string
  origin_server_ts: number
  bytes: number
  void: boolean
  created_at: number
  started_at: number
  attempt: number
  worker: string
  positions: number[]
  lanes: string
  from_pos: number
  to_pos: number
  gap: number | null
  gap_cursor: number | null
  closes_gap: boolean
  sticky: { room: number | null; upto: number | null; cursor: number }[]
  /** EDUs, as packed. */
  edus: number
  /** The transaction to which what follows belongs: where it is another, none of it counts. */
  edu_txn: string | null
  edu_form: number | null
  edu_positions: number[] | null
  durable_to: number | null
  ephemeral_to: number | null
}

export interface AttemptRow {
  destination: number
  seq: number
  at: number
  positions: readonly number[]
  lanes: string
}

export interface ApartRow {
  destination: number
  pos: number
  room: number
  lane: string
  grp: number | null
  since: number
  tries: number
  next_at: number | null
  status: number | null
  message: string | null
}

export interface WaitingRoomRow {
  destination: number
  room: number
  cursor: number
  held_since: number | null
  tries: number
  next_at: number | null
}

/** An EDU that is out of its lane. */
export interface EduApartRow {
  destination: number
  pos: number
  since: number
  sure: boolean
  tries: number
  next_at: number
  status: number | null
  message: string | null
}

export interface Schema {
  stream: { head: number; log_end: number; log_floor: number; durable_head: number; edu_head: number }
  cursors: { name: string; pos: number }
  seen_time: { seen_ms: number }
  seen_marks: { seen_ms: number; head: number; low: number }
  sources: { source: string; source_token: string | null }
  rooms: { id: number; room_id: string; room_version: string | null; head: number; known: boolean }
  destinations: DestinationRow
  /** `of_before`: it was given before the last failover. */
  workers: { id: string; lease_until: number; of_before: boolean; answered_at: number | null }
  recipients: RecipientsRow
  edu_rooms: { id: number; hash: string; rooms: number[] }
  edus: EduRow
  events: EventRow
  kept_events: EventRow
  event_ids: { event_id: string; pos: number; at: number }
  changes: ChangeRow
  memberships: MembershipRow
  sticky: { pos: number; room: number; expires_at: number }
  gaps: GapRow
  sticky_owed: OwedRow
  replays: ReplayRow
  open_transactions: OpenRow
  attempts: AttemptRow
  blocks: { glob: string; reason: string | null; who: string; at: number }
  block_list: { version: string }
  apart: ApartRow
  waiting_rooms: WaitingRoomRow
  edus_apart: EduApartRow
}

export const TABLES: readonly (keyof Schema)[] = [
  'stream',
  'cursors',
  'seen_time',
  'seen_marks',
  'sources',
  'rooms',
  'destinations',
  'workers',
  'recipients',
  'edu_rooms',
  'edus',
  'events',
  'kept_events',
  'event_ids',
  'changes',
  'memberships',
  'sticky',
  'gaps',
  'sticky_owed',
  'replays',
  'open_transactions',
  'attempts',
  'blocks',
  'block_list',
  'apart',
  'waiting_rooms',
  'edus_apart',
]

/** Primary keys of tables whose key is more than one column. */
export const keyOf = {
  membership: ({ room, destination, since }: MembershipRow) => `${room} ${destination} ${since}`,
  owed: (destination: number, room: number | null) => `${destination} ${room ?? 'gap'}`,
  replay: (destination: number, pos: number) => `${destination} ${pos}`,
  attempt: (destination: number, seq: number) => `${destination} ${seq}`,
  apart: (destination: number, pos: number) => `${destination} ${pos}`,
  eduApart: (destination: number, pos: number) => `${destination} ${pos}`,
  waits: (destination: number, room: number) => `${destination} ${room}`,
}
