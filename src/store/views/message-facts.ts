/** What is stored of a to-device message: its rows, for whom it is, and what of these destinations says what became of it. */
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import type { GivenUpRow } from './event-facts.ts'

export interface MessageRow {
  pos: number
  received_ts: number
  /** From when on it is not sent, ms since the epoch; null: as long as durable ones are kept. */
  expires_at: number | null
  durable: boolean
  /** A later one with the same key goes in its place. */
  replaceable: boolean
  /** Ids of its destinations. */
  list: number[]
}

/** A producer that gives one id again and again is not followed to the end. */
const MOST = 100

const FIND = sql(
  'find a message to devices',
  `select e.pos, e.received_ts, e.expires_at, e.durable, e.key is not null as replaceable, r.list
     from edus e join recipients r on r.id = e.recipients
    where e.who = $1 and e.type = 'm.direct_to_device' and e.recipients is not null order by e.pos limit $2`,
)

/** As often as it was given, oldest first. */
export async function findMessage(db: Db, messageId: string): Promise<MessageRow[]> {
  return (await db.query<MessageRow>(FIND, [messageId, MOST])).rows
}

/** What one destination says about the lane of a message, and an operator's skips. */
export interface MessageFacts {
  destination: number
  durable_pos: number
  ephemeral_pos: number
  /** The unanswered transaction, and the EDUs in it. */
  txn_id: string | null
  started_at: number | null
  edu_positions: number[] | null
}

const FACTS = sql(
  'read the lanes of messages',
  `select d.id as destination, d.durable_pos, d.ephemeral_pos, o.txn_id, o.started_at, o.edu_positions
     from destinations d
     left join open_transactions o on o.destination = d.id and o.edu_txn = o.txn_id and not o.void
    where d.id = any($1::int[])`,
)

export async function readMessageFacts(db: Db, ids: readonly number[]): Promise<MessageFacts[]> {
  return (await db.query<MessageFacts>(FACTS, [ids])).rows
}

/** It is out of its lane, as it was refused (`delivery/edus-apart.ts`). */
export interface ApartMessage {
  destination: number
  pos: number
  since: number
  /** It is set aside; false: it is out of the way, and nothing is concluded. */
  sure: boolean
  tries: number
  next_at: number
  /** What was last answered. */
  message: string | null
}

const APART = sql(
  'read the messages that are apart',
  `select destination, pos, since, sure, tries, next_at, message from edus_apart
      where destination = any($1::int[]) and pos = any($2::bigint[])`,
)

const GIVEN_UP = sql(
  'read the messages that were given up',
  'select destination, pos, who, at from given_up where destination = any($1::int[]) and pos = any($2::bigint[])',
)

/** What of messages at these positions was refused: what is apart, and what an operator gave up of that. */
export async function readRefusedMessages(
  db: Db,
  ids: readonly number[],
  positions: readonly number[],
): Promise<{ apart: ApartMessage[]; givenUp: GivenUpRow[] }> {
  const apart = await db.query<ApartMessage>(APART, [ids, positions])
  const givenUp = await db.query<GivenUpRow>(GIVEN_UP, [ids, positions])
  return { apart: apart.rows, givenUp: givenUp.rows }
}

export interface MessageSkip {
  destination: number
  durable_from: number | null
  upto: number
  who: string
  at: number
}

const SKIPS = sql(
  'read the skips over messages',
  `select destination, durable_from, upto, who, at from skips where destination = any($1::int[]) and upto >= $2 order by upto, at`,
)

/** Those that reach `pos` or farther. */
export async function readMessageSkips(db: Db, ids: readonly number[], pos: number): Promise<MessageSkip[]> {
  return (await db.query<MessageSkip>(SKIPS, [ids, pos])).rows
}
