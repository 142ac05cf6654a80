/** A planted bug in what becomes of a request that was cut, since others waited for its place (see `planted.ts`). */
import type { ResultInput } from './memory/delivery/results.ts'
import type { Bug } from './planted.ts'
import { CUT } from './remote.ts'

export const CUTTING_BUGS: readonly Bug[] = [
  {
    bug: 'a request that is cut is forgotten',
    how: 'a transaction whose request was cut ends, as if nothing of it had left',
    plant: () => ({
      statements: {
        'end the attempt': (right) => (call, values) => {
          const [json] = values as unknown as [string]
          const all = JSON.parse(json) as ResultInput[]
          for (const one of all) if ('outcome' in one && one.message === CUT) one.ends = true
          return right(call, [JSON.stringify(all)] as never)
        },
      },
    }),
    breaks: /same id, same bytes|one unanswered id/,
  },
]
