/**
 * Reads what happened from the statements that were committed: what was frozen, acknowledged or ended, what ingest
 * took. So the watch is told by the database, not by the code that it judges.
 */
import { US, type FrozenView } from './driver.ts'
import type { Logged } from './memory/pool.ts'
import type { TakeOut } from './memory/delivery/edus-apart.ts'
import { beginningOf, type BeginInput } from './memory/delivery/transactions.ts'

export type Happened =
  | { what: 'looked at' }
  | { what: 'frozen'; view: FrozenView }
  /** Null: it could not be reached, and nothing had been planned. */
  | { what: 'written down'; txnId: string | null; answered: boolean }
  /** `handed`: as far as the process knows it may have arrived. */
  | { what: 'ended unanswered'; txnId: string; handed: boolean }
  /** It was refused: what it held is out of all lanes. */
  | { what: 'taken apart'; txnId: string }
  /** It was refused, and what it held alone is out of its lane; null: it is not durable. `sure`: set aside, or dropped. */
  | { what: 'EDU taken out'; txnId: string; pos: number | null; sure: boolean }
  /** It is too old. */
  | { what: 'given up apart'; positions: number[] }
  /** Of a room that waits, these are taken out in the place of everything up to `upto`. */
  | { what: 'room overtaken'; positions: readonly number[]; upto: number }
  /** Positions after `before`, up to `head`. */
  | { what: 'taken'; before: number; head: number; now: number }
  | { what: 'taken over'; worker: string }
  /** The log begins after `upto` now. */
  | { what: 'shortened'; upto: number }
  | { what: 'given up'; positions: number[] }
  /** An operator gives up what is owed up to there; and a holder carried that out, and ended what was unanswered. */
  /** An operator gave up what was set aside. */
  | { what: 'dropped' }
  | { what: 'skip wished'; upto: number }
  | { what: 'skipped'; upto: number; ended: string | null }
  /** By the process whose fault it was. */
  | { what: 'put back' }
  /** The time of such a trouble. */
  | { what: 'left out' }
  /** Position, gaps or holder may be others. */
  | { what: 'moved' }
  | { what: 'let go' }
  /** A sweep asks who is owed something. */
  | { what: 'sought'; ids: number[] }
  /** The fanout is through up to there. */
  | { what: 'fanned out'; upto: number }

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
      const [[worker], [name]] = values as unknown as [[string], [string]]
      return row?.free === true && name === US ? [{ what: 'taken over', worker }] : []
    }
    case 'acknowledge and freeze': {
      const [row] = rows as { now: number }[]
      if (row === undefined) return []
      const { answered, again, txnId, positions, lanes, readAt, originServerTs, wakeSeq, edus } = beginningOf(
        values as unknown as BeginInput,
        0,
      )
      if (again !== null) return []
      // Who has not looked at the rows says what it knows.
      const steady = wakeSeq !== null
      const view = {
        ...{ txnId, positions, lanes, readAt, madeAt: originServerTs, steady, frozenAt: row.now },
        edus: { ...edus, positions: edus.positions ?? [] },
      }
      const frozen: Happened = { what: 'frozen', view }
      if (!steady) return [frozen]
      const written: Happened[] =
        answered === null ? [] : [{ what: 'written down', txnId: answered, answered: true }]
      return [...written, { what: 'moved' }, { what: 'looked at' }, frozen]
    }
    case 'end the attempt': {
      if (rows.length === 0) return []
      const [one] = JSON.parse(values[0] as string) as {
        txnId: string | null
        outcome?: string
        handed?: boolean
      }[]
      if (one === undefined) return []
      const { txnId, outcome, handed = true } = one
      if (outcome === undefined) return txnId === null ? [] : [{ what: 'ended unanswered', txnId, handed }]
      const written: Happened = { what: 'written down', txnId, answered: outcome === 'answered' }
      // Of the same commit: what a cursor passes with it is known before that is judged.
      return [written, ...takenOut(log), { what: 'moved' }]
    }
    case 'take apart what was refused': {
      const [row] = rows as { n: number }[]
      return row?.n === 1 ? [{ what: 'taken apart', txnId: values[4] as string }, { what: 'moved' }] : []
    }
    case 'give up what was set aside': {
      const positions = (rows as { pos: number }[]).map(({ pos }) => pos)
      return [{ what: 'given up apart', positions }, { what: 'moved' }]
    }
    case 'a room is overtaken': {
      const [, , upto, positions] = values as [number, number, number, number[]]
      return [{ what: 'room overtaken', positions, upto }, { what: 'moved' }]
    }
    case 'sticky events of held rooms go alone':
    case 'it is apart no more':
    case 'take out what goes last':
    case 'a room goes on':
    case 'take an EDU out of its lane':
    case 'EDUs are apart no more':
    case 'EDUs are set aside for good':
    case 'EDUs that are apart are due':
    case 'note that an EDU is refused':
    case 'try an EDU that is set aside':
      return [{ what: 'moved' }]
    case 'wish for a look after a drop':
      return [{ what: 'dropped' }, { what: 'moved' }]
    case 'wish to skip': {
      const [row] = rows as { upto: number }[]
      return row === undefined ? [] : [{ what: 'skip wished', upto: row.upto }]
    }
    case 'skip what is owed': {
      const [row] = rows as { ended: string | null }[]
      if (row === undefined) return []
      return [{ what: 'skipped', upto: values[3] as number, ended: row.ended }, { what: 'moved' }]
    }
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
    case 'put back what failed for us':
      return rows.length === 0 ? [] : [{ what: 'put back' }]
    case 'leave own trouble out':
      return rowCount === 0 ? [] : [{ what: 'left out' }]
    case 'let go':
      return rows.length === 0 ? [] : [{ what: 'moved' }, { what: 'let go' }]
    case 'who is owed something':
      return [{ what: 'sought', ids: (rows as { ids: number[] }[])[0]?.ids ?? [] }]
    case 'move a cursor':
      return values[0] === 'fanout' && rowCount === 1 ? [{ what: 'fanned out', upto: Number(values[1]) }] : []
    case 'move the quiet on':
    case 'retention opens a gap':
    case 'retention moves it on':
    case 'retention extends the gap':
    case 'open a gap':
    case 'let the gap grow':
    case 'move the position on':
    case 'begin to follow':
    case 'let go of the followed':
    case 'move the cursors of EDUs':
      return [{ what: 'moved' }]
    default:
      return []
  }
}

const takenOut = (log: readonly Logged[]): Happened[] =>
  log.flatMap(({ name, values, rows }): Happened[] => {
    if (name !== 'take an EDU out of its lane' || (rows as { n: number }[])[0]?.n !== 1) return []
    const [, , , txnId, , , pos, sure] = values as unknown as TakeOut
    return [{ what: 'EDU taken out', txnId, pos, sure }]
  })
