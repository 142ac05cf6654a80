/**
 * What a federation sender meets and what must then be seen, and what the specification asks of one, as data.
 *
 * `docs/scenarios.md` is written from it; `cases.test.ts` looks whether the tests are there, and whether each number in a row is one
 * of the named tests or of the code.
 */
import { CATCH_UP } from './catch-up.ts'
import { DUTIES } from './duties.ts'
import type { Row } from './row.ts'
import { STICKY, STICKY_DUTIES } from './sticky.ts'
import { BACKOFF, TRANSACTIONS } from './transactions.ts'
import { OPERATION } from './operation.ts'

/** The scenarios, by what they are about. */
export const SCENARIOS: Readonly<Record<string, readonly Row[]>> = {
  Transactions: TRANSACTIONS,
  'Failures and waits': BACKOFF,
  'Catch-up': CATCH_UP,
  'Sticky events (MSC4354)': STICKY,
  'Discovery, EDUs, operation': OPERATION,
}

/** What is asked of a sender, by the part of the specification. */
export const SPECIFICATION: Readonly<Record<string, readonly Row[]>> = {
  ...DUTIES,
  'Sticky events (MSC4354): duties': STICKY_DUTIES,
}
