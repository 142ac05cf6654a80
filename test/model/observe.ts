/**
 * Reads what happened from the statements that were committed: what was frozen, acknowledged or ended, what ingest
 * took. So the watch is told by the database, not by the code that it judges.
 */
import { US, type FrozenView } from './driver.ts'
import type { Logged } from './memory/pool.ts'
import type { AdvanceInput } from './memory/sql-transactions.ts'
import { listOf } from './memory/sql-transactions.ts'

export type Happened =
  | { what: 'looked at' }
  | { what: 'frozen'; view: FrozenView }
  /** Null: it could not be reached, and nothing had been planned. */
  | { what: 'written down'; txnId: string | null; steady: boolean }
  | { what: 'ended unanswered'; txnId: string }
  /** Positions after `before`, up to `head`. */
  | { what: 'taken'; before: number; head: number; now: number }
  | { what: 'taken over'; worker: string }
  /** The log begins after `upto` now. */
  | { what: 'shortened'; upto: number }
  | { what: 'given up'; positions: number[] }
  /** Position, gaps or holder may be others. */
  | { what: 'moved' }

interface FreezeInput {
  txn_id: string
  ack: { positions: number[]; lanes: string }
  read_at: number
  origin_server_ts: number
}

/** The watched destination is the only one that is served. */
export function happenedIn(log: readonly Logged[]): Happened[] {
  return log.flatMap((one) => ofStatement(one, log))
}

function ofStatement({ name, values, rows, rowCount }: Logged, log: readonly Logged[]): Happened[] {
  switch (name) {
    case 'look at the destination':
      return [{ what: 'looked at' }]
    case 'take the destination': {
      const [row] = rows as { free: boolean }[]
      return row?.free === true && values[1] === US
        ? [{ what: 'taken over', worker: values[0] as string }]
        : []
    }
    case 'freeze': {
      const [row] = rows as { started_at: number }[]
      const [one] = JSON.parse(values[0] as string) as FreezeInput[]
      if (row === undefined || one === undefined) return []
      const { txn_id: txnId, ack, read_at: readAt, origin_server_ts: madeAt } = one
      const { positions, lanes } = ack
      return [
        {
          what: 'frozen',
          view: { txnId, positions, lanes, readAt, madeAt, steady: false, frozenAt: row.started_at },
        },
      ]
    }
    case 'advance': {
      const [row] = rows as { now: number }[]
      if (row === undefined) return []
      const [, , , , [answered], , , [next], [madeAt], , [positions], , [readAt]] =
        values as unknown as AdvanceInput
      const happened: Happened[] = []
      if (answered != null) happened.push({ what: 'written down', txnId: answered, steady: true })
      happened.push({ what: 'moved' }, { what: 'looked at' })
      if (next == null) return happened
      const sent = listOf(positions)
      const lanes = 't'.repeat(sent.length)
      const at = { steady: true, readAt: readAt ?? 0, madeAt: madeAt ?? 0, frozenAt: row.now }
      return [...happened, { what: 'frozen', view: { txnId: next, positions: sent, lanes, ...at } }]
    }
    case 'write down the result': {
      if (rows.length === 0) return []
      const [one] = JSON.parse(values[0] as string) as { txnId: string | null }[]
      return one === undefined
        ? []
        : [{ what: 'written down', txnId: one.txnId, steady: false }, { what: 'moved' }]
    }
    case 'end it unanswered':
      return rowCount === 1 ? [{ what: 'ended unanswered', txnId: values[3] as string }] : []
    case 'move the floor':
      return rowCount === 1 ? [{ what: 'shortened', upto: values[0] as number }] : []
    case 'give up':
      return [{ what: 'given up', positions: (rows as { pos: number }[]).map(({ pos }) => pos) }]
    case 'move the head': {
      // Retention takes one for itself.
      if (log.some((other) => other.name === 'note that texts went')) return []
      const [read] = (log.find((other) => other.name === 'read the head to append')?.rows ?? []) as {
        head: number
        now: number
      }[]
      const head = values[0] as number
      // A token alone moves nothing.
      if (head === read?.head) return []
      return [{ what: 'taken', before: read?.head ?? 0, head, now: read?.now ?? 0 }]
    }
    case 'move the quiet on':
    case 'retention opens a gap':
    case 'retention moves it on':
    case 'retention extends the gap':
    case 'let go':
    case 'open a gap':
    case 'let the gap grow':
    case 'move the position on':
    case 'begin to follow':
    case 'let go of the followed':
      return [{ what: 'moved' }]
    default:
      return []
  }
}
