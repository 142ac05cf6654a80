/** A transaction that a remote has processed and does not answer, with a receipt in it: what is to become of it when something else fails meanwhile? */
import { expect } from 'chai'
import { ok } from '../../src/simulate/fleet/behaviour.ts'
import type { WireEdu } from '../../src/simulate/fleet/edu-form.ts'
import type { FakeHomeserver } from '../../src/simulate/fleet/fake-homeserver.ts'
import { until } from '../support/poll.ts'

export interface Unanswered {
  /** Resolves when its request came again after `since`, ms since the epoch; then it is answered, and everything after it. */
  comesAgain(since: number): Promise<void>
}

/** Resolves as soon as the remote has one. It is healthy otherwise. */
export async function receiptUnanswered(remote: FakeHomeserver): Promise<Unanswered> {
  let held: string | undefined
  remote.behave(({ txnId, edus }) => {
    if (edus.some(isReceipt)) held ??= txnId
    return txnId === held ? { kind: 'drop after processing' } : ok
  })
  await until(() => held, { what: 'a receipt in a transaction', everyMs: 1 })
  const transaction = remote.transactions.find(({ txnId }) => txnId === held)
  return {
    async comesAgain(since) {
      await until(() => transaction?.requestsAt.some((at) => at > since), {
        what: `the unanswered transaction ${held} to come again`,
      })
      expect(remote.transactions.at(-1), 'nothing came under another id').to.equal(transaction)
      expect(remote.violations, 'the same bytes').to.deep.equal([])
      remote.behave(ok)
    },
  }
}

const isReceipt = ({ type }: WireEdu): boolean => type === 'm.receipt'
