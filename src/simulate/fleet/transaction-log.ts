/**
 * What one receiving homeserver remembers of the transactions that it was sent, and the violations that it saw.
 *
 * Spec, server-server API, "Transactions": a sender has one transaction under way at a time and repeats it, with the
 * same id and the same bytes, until it is answered. So an id that was received and not answered with a 200 stays
 * *unanswered*, however it failed, and any other new id meanwhile is a violation. A repeat of an answered id is not,
 * because its sender may not have seen the answer. An id that a whole answer refused counts as answered, and only the sender's search for what
 * is refused may follow it (contract 5.9): after three refusals, or one of PDUs and EDUs that were refused before, an empty transaction, and after a 200 to that another one; after a 413 a
 * smaller one; after one whose PDUs and EDUs were all refused before, anything. `forgive` is for callers that know a reason: the 24 h rule, a
 * redaction, an operator's skip.
 *
 * No I/O: the listener asks, and this file decides and keeps score.
 */
import { createHash } from 'node:crypto'
import { makeBoundedMap } from './bounded.ts'

export interface LoggedTransaction {
  readonly txnId: string
  /** Hex SHA-256 of the body; null while no request of this id arrived whole. */
  sha256: string | null
  /** The body as received; null where it was not whole, or bodies are not kept. */
  body: string | null
  bytes: number
  pduIds: readonly string[]
  edus: number
  /** What the body says; null while none came whole. */
  originServerTs: number | null
  /** When each request with this id arrived, in milliseconds since the epoch. */
  readonly requestsAt: number[]
  /** The answer a 200 gave, or will give to a repeat; null while it was not processed. */
  response: string | null
  answered: boolean
  forgiven: boolean
}

export type RequestVerdict = 'process' | 'answer from memory' | 'refuse'

/** Everything of a request that the log looks at. */
export interface ReceivedRequest {
  readonly txnId: string
  readonly body: string
  readonly pduIds: readonly string[]
  /** For each EDU what it says, part by part, as names that are the same when it comes in another transaction. */
  readonly eduParts: readonly (readonly string[])[]
  readonly originServerTs: number
  readonly at: number
}

export interface TransactionLog {
  /** In the order in which their first requests arrived. */
  readonly transactions: readonly LoggedTransaction[]
  /** What a correct sender never does, in words, oldest first. */
  readonly violations: readonly string[]
  find(txnId: string): LoggedTransaction | undefined
  /** A whole request arrived: may it be processed? */
  receive(request: ReceivedRequest): RequestVerdict
  /** A request arrived in part only: its id counts as received from now on. */
  cutOff(txnId: string, at: number): void
  /** Its 200 has gone out, or (`false`) turned out not to have. */
  answered(txnId: string, whole: boolean): void
  /** An answer that refuses it has gone out whole. */
  refused(txnId: string, status: number): void
  /** Whatever is unanswered now may be followed by another id. */
  forgive(): void
  complain(violation: string): void
}

const MOST_VIOLATIONS = 1000
const MOST_REFUSED = 20_000

export interface TransactionLogOptions {
  readonly keepBodies: boolean
  /** Ids remembered, at most: the oldest are forgotten, as real receivers do after a day. Default: all. */
  readonly most?: number
  /** Is told each violation, also those that `violations` has no room for. */
  readonly onComplaint?: (violation: string) => void
}

export function makeTransactionLog(options: TransactionLogOptions): TransactionLog {
  const { keepBodies, most = Infinity, onComplaint } = options
  const byId = new Map<string, LoggedTransaction>()
  const transactions: LoggedTransaction[] = []
  const violations: string[] = []
  // Ids that are neither answered nor forgiven: at most one, unless the sender is wrong.
  const unanswered = new Set<LoggedTransaction>()
  /** The last that was refused, while nothing else was answered; and whether an empty one was answered after that. */
  let refusal: { of: LoggedTransaction; status: number; cleared: boolean; isSuspect: boolean } | null = null
  let refusals = 0
  /** PDUs, and parts of EDUs. */
  const refusedBefore = makeBoundedMap<true>(MOST_REFUSED)
  /** What the last transaction that came whole is made of. */
  let last: { of: LoggedTransaction; names: readonly string[] } | null = null

  /** Whether another id may come while that one is unanswered. */
  function mayFollow(other: LoggedTransaction, isEmpty: boolean): boolean {
    if (refusal?.of !== other) return false
    if (refusal.status === 413 || refusal.cleared) return true
    return isEmpty && (refusals >= 3 || refusal.isSuspect)
  }

  function complain(violation: string): void {
    if (violations.length < MOST_VIOLATIONS) violations.push(violation)
    onComplaint?.(violation)
  }

  function otherThan(txnId: string): LoggedTransaction | undefined {
    for (const transaction of unanswered) if (transaction.txnId !== txnId) return transaction
    return undefined
  }

  function enter(txnId: string): LoggedTransaction {
    const transaction: LoggedTransaction = {
      txnId,
      sha256: null,
      body: null,
      bytes: 0,
      pduIds: [],
      edus: 0,
      originServerTs: null,
      requestsAt: [],
      response: null,
      answered: false,
      forgiven: false,
    }
    byId.set(txnId, transaction)
    transactions.push(transaction)
    unanswered.add(transaction)
    if (transactions.length > most) forgetOldest()
    return transaction
  }

  function forgetOldest(): void {
    const oldest = transactions.shift()
    if (oldest === undefined) return
    byId.delete(oldest.txnId)
    unanswered.delete(oldest)
  }

  function receive(request: ReceivedRequest): RequestVerdict {
    const { txnId, body, pduIds, originServerTs, at } = request
    const edus = request.eduParts.length
    const known = byId.get(txnId)
    const other = otherThan(txnId)
    const isEmpty = pduIds.length + edus === 0
    if (known === undefined && other !== undefined && !mayFollow(other, isEmpty)) {
      complain(`transaction ${txnId} came while ${other.txnId} was unanswered`)
      return 'refuse'
    }
    const transaction = known ?? enter(txnId)
    if (known === undefined && other !== undefined && !isEmpty) unanswered.delete(other)
    if (isEmpty) unanswered.delete(transaction)
    transaction.requestsAt.push(at)
    last = { of: transaction, names: [...pduIds, ...request.eduParts.flat()] }
    const sha256 = createHash('sha256').update(body).digest('hex')
    if (transaction.sha256 === null) {
      Object.assign(transaction, { sha256, body: keepBodies ? body : null, pduIds, edus, originServerTs })
      transaction.bytes = Buffer.byteLength(body)
    } else if (transaction.sha256 !== sha256) {
      complain(`transaction ${txnId} came again with other bytes`)
    }
    // Receivers answer a known id from memory without looking at the body.
    return transaction.response === null ? 'process' : 'answer from memory'
  }

  return {
    transactions,
    violations,
    find: (txnId) => byId.get(txnId),
    receive,
    cutOff(txnId, at) {
      const other = otherThan(txnId)
      if (!byId.has(txnId) && other !== undefined) {
        complain(`transaction ${txnId} began while ${other.txnId} was unanswered`)
        return
      }
      const transaction = byId.get(txnId) ?? enter(txnId)
      transaction.requestsAt.push(at)
    },
    answered(txnId, whole) {
      const transaction = byId.get(txnId)
      if (transaction === undefined) return
      transaction.answered = whole
      if (whole && transaction.pduIds.length + transaction.edus === 0) {
        if (refusal !== null) refusal.cleared = true
        return
      }
      if (whole) {
        refusals = 0
        refusal = null
      }
      if (whole) unanswered.delete(transaction)
      else if (!transaction.forgiven) unanswered.add(transaction)
    },
    refused(txnId, status) {
      const transaction = byId.get(txnId)
      if (transaction === undefined || transaction.pduIds.length + transaction.edus === 0) return
      const names = last?.of === transaction ? last.names : transaction.pduIds
      const isSuspect = names.length > 0 && names.every((name) => refusedBefore.kept.has(name))
      refusals += 1
      const cleared = isSuspect && transaction.requestsAt.length === 1
      refusal = { of: transaction, status, cleared, isSuspect }
      for (const name of names) refusedBefore.set(name, true)
    },
    forgive() {
      for (const transaction of unanswered) transaction.forgiven = true
      unanswered.clear()
    },
    complain,
  }
}
