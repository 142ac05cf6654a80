/** A story written by hand, and what one server wrote down of it: for tests of the verdict. */
import type { Heard, HeardTransaction, Told } from '../../../src/simulate/story/record.ts'
import { judgeRun } from '../../../src/simulate/verdict/verdict.ts'
import type { Rules, ServerVerdict } from '../../../src/simulate/verdict/verdict.ts'

export const SERVER = 'one.example:1'
export const ROOM = '!room:us'
/** When everything begins. */
export const START = 1_000_000
export const END = START + 600_000
const MINUTE = 60_000

export const join = (room = ROOM, at = START): Told => ({
  ...{ kind: 'join', room, servers: [SERVER], at, takenAt: at + 1 },
})
export const leave = (room = ROOM, at = START): Told => ({
  ...{ kind: 'leave', room, servers: [SERVER], at, takenAt: at + 1 },
})

/** An event called `$id`. `stickyMs`: sticky for so long; `at`: when it was told. */
export function said(
  id: string,
  {
    room = ROOM,
    at = START,
    stickyMs,
    to,
  }: { room?: string; at?: number; stickyMs?: number; to?: string[] } = {},
): Told {
  const stickyUntil = stickyMs === undefined ? null : at + stickyMs
  return { kind: 'event', room, eventId: `$${id}`, stickyUntil, to: to ?? null, at, takenAt: at + 1 }
}

/** Sticky beyond the end. */
export const LONG = 60 * MINUTE

export interface Sent {
  ids: string[]
  at: number
  /** Default: answered, and listing all. */
  answered?: boolean
  processed?: boolean
  unlisted?: string[]
  requests?: number
}

let count = 0

export function transaction({
  ids,
  at,
  answered = true,
  processed = true,
  unlisted = [],
  requests = 1,
}: Sent) {
  count += 1
  const listed = ids.filter((id) => !unlisted.includes(id))
  const heard: HeardTransaction = {
    txnId: `txn${count}`,
    body: `{"origin":"us","origin_server_ts":${at},"pdus":[]}`,
    pduIds: ids.map((id) => `$${id}`),
    requestsAt: Array.from({ length: requests }, (_, index) => at + 5 + index * 1000),
    response: processed
      ? JSON.stringify({ pdus: Object.fromEntries(listed.map((id) => [`$${id}`, {}])) })
      : null,
    answered,
  }
  return { heard, taken: processed ? listed.map((id) => `$${id}`) : [] }
}

/** The verdict on the one server. */
export function verdictOn(
  told: Told[],
  sent: Sent[],
  rules: Partial<Rules> = {},
  more: Partial<Heard> = {},
): ServerVerdict {
  const transactions = sent.map(transaction)
  const heard: Heard = {
    serverName: SERVER,
    transactions: transactions.map((one) => one.heard),
    received: new Set(transactions.flatMap(({ taken }) => taken)),
    violations: [],
    mostOpenAtOnce: 1,
    ...more,
  }
  const usual: Rules = { thresholdPdus: 3, minAgeMs: 5000, endedAt: END, dead: new Set(), quietJoins: [] }
  const verdict = judgeRun(told, [heard], { ...usual, ...rules })
  const [one] = verdict.servers
  if (one === undefined) throw new Error('no verdict')
  return one
}

/** Nothing is wrong. */
export const clean = { missing: [], notEntitled: [], faults: [] }
