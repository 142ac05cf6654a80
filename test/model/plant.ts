/** How a planted bug is put beside a statement that is right (see `planted.ts`). */
import type { ResultInput } from './memory/delivery/results.ts'
import type { Call, Run } from './memory/statement.ts'

/** The statement runs, and then `after`. */
export const then =
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
  <V extends readonly unknown[]>(after: (call: Call, values: V) => void) =>
    (right: Run): Run =>
    (call, values) => {
      const result = right(call, values)
      after(call, values as unknown as V)
      return result
    }

/** Results are written with other waits; `startedAt` is that of the attempt. */
export const changingWaits =
  (change: (one: ResultInput) => ResultInput['waiting']) =>
  (right: Run): Run =>
  (call, values) => {
    const [json] = values as unknown as [string]
    const all = JSON.parse(json) as ResultInput[]
    for (const one of all) if ('outcome' in one) one.waiting = change(one)
    return right(call, [JSON.stringify(all)] as never)
  }
