/** How a planted bug is put beside a statement that is right (see `planted.ts`). */
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
