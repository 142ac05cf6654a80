/** The beginnings of both lanes of EDUs from which no more than a few parts go: for a search (`edu-search.ts`). Pure. */
import type { EduLane } from './edus-to-plan.ts'
import type { EduPlan } from './plan-edus.ts'

interface Lanes {
  readonly durable: EduLane
  readonly ephemeral: EduLane
}

/** `all`: what would go of them. Durable ones come first, as they do in a transaction. */
export function fewerParts(
  { durable, ephemeral }: Lanes,
  all: Pick<EduPlan, 'durable' | 'ephemeral'>,
  most: number,
): Lanes {
  if (all.durable.length + all.ephemeral.length <= most) return { durable, ephemeral }
  const ofEphemeral = most - all.durable.length
  return {
    durable: beginningOf(durable, all.durable[most - 1]?.pos ?? durable.upto),
    ephemeral: beginningOf(ephemeral, all.ephemeral[ofEphemeral - 1]?.pos ?? ephemeral.cursor),
  }
}

const beginningOf = ({ cursor, edus, upto }: EduLane, to: number): EduLane => ({
  cursor,
  edus: edus.filter(({ pos }) => pos <= to),
  upto: Math.min(upto, to),
})
