/**
 * What is an unanswered transaction made of? Its texts are read apart from the look (`destination.ts`), by a caller that has a connection and memory for
 * them. That read asks again whether the transaction is open: if a redaction or purge came in between, nothing is lost.
 */
import type { EduToPack } from '../../matrix/edus/pack.ts'
import type { Db } from '../db.ts'
import { sql } from '../statement.ts'
import type { OpenTransaction } from './destination.ts'
import { fromText, TEXT_COLUMNS, textAt, type StoredPdu, type TextRow } from './timeline.ts'

// $1 destination, $2 transaction id. A row at least where it is still open and holds all that it held.
const OPEN_TEXTS = sql(
  'read texts',
  `select ${TEXT_COLUMNS} from open_transactions o left join lateral unnest(o.positions) p (pos) on true
    left join lateral ${textAt('p.pos')} on true
   where o.destination = $1 and o.txn_id = $2 and not o.void order by p.pos`,
)

// In their order. A row is never changed, so whether the transaction is open and not void is asked with the texts of its PDUs.
const OPEN_EDUS = sql(
  'read EDUs of a transaction',
  `select e.type, e.content, e.received_ts from unnest($1::bigint[]) with ordinality p (pos, n) join edus e on e.pos = p.pos order by p.n`,
)

export interface OpenTexts {
  pdus: StoredPdu[]
  /** Parts, in the order in which they are packed. */
  edus: EduToPack[]
}

/** What an open transaction is made of; null: it is no longer open, or void, or (the log is damaged) not all of it is there. */
export async function readOpenTexts(
  db: Db,
  destination: number,
  { txnId, acknowledges: { positions, edus } }: OpenTransaction,
): Promise<OpenTexts | null> {
  type Found = TextRow | { [K in keyof TextRow]: null }
  const parts = await readEduParts(db, edus?.positions ?? [])
  const { rows } = await db.query<Found>(OPEN_TEXTS, [destination, txnId])
  const pdus = rows.filter((row): row is TextRow => row.pdu !== null).map(fromText)
  const isWhole = pdus.length === positions.length && parts.length === (edus?.positions.length ?? 0)
  return rows.length === 0 || !isWhole ? null : { pdus, edus: parts }
}

/** In the order of `positions`; those that are gone are left out. */
export async function readEduParts(db: Db, positions: readonly number[]): Promise<EduToPack[]> {
  if (positions.length === 0) return []
  type Part = { type: string; content: string; received_ts: number }
  const { rows } = await db.query<Part>(OPEN_EDUS, [positions])
  return rows.map(({ type, content, received_ts }) => ({ eduType: type, content, receivedTs: received_ts }))
}
