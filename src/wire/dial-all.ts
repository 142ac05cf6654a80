/**
 * Dials the targets of a destination: the first, and the next where one fails or is slow.
 *
 * RFC 2782 wants a target tried before those that are further back. So the next does not start soon, as it does with the addresses of one
 * target (`race.ts`); but a host that swallows packets does not hold up those behind it until its time is over either.
 */
import type { Dial, Dialled, Open } from './dial.ts'
import { race, type Attempted } from './race.ts'
import type { Target } from './target.ts'

type NotOpen = Exclude<Dialled, Open>

/** After so long without a connection the next target is dialled as well, ms. */
const NEXT_TARGET_MS = 2_000

export type DialAll = (
  targets: readonly Target[],
  signal: AbortSignal,
  worked: (target: Target) => string | null,
) => Promise<(Open & { target: Target }) | NotOpen>

export function makeDialAll(dial: Dial): DialAll {
  return async function dialAll(targets, signal, worked) {
    const [only, ...others] = targets
    if (only !== undefined && others.length === 0) return dialOne(dial, only, signal, worked)
    const raced = await race<Target, Open & { target: Target }, NotOpen>({
      ...{ places: targets, staggerMs: NEXT_TARGET_MS, signal },
      discard: ({ socket }) => socket.destroy(),
      async attempt(target, runner): Promise<Attempted<Open & { target: Target }, NotOpen>> {
        const dialled = await dialOne(dial, target, runner.signal, worked)
        return dialled.kind === 'open' ? { kind: 'won', value: dialled } : { kind: 'lost', why: dialled }
      },
    })
    if (raced.kind === 'won') return raced.value
    if (signal.aborted) return { kind: 'failed', stage: 'aborted', message: 'aborted while connecting' }
    return furthest(raced.whys)
  }
}

async function dialOne(
  dial: Dial,
  target: Target,
  signal: AbortSignal,
  worked: (target: Target) => string | null,
) {
  const dialled = await dial(target, signal, worked(target))
  return dialled.kind === 'open' ? { ...dialled, target } : dialled
}

const STAGES: readonly NotOpen['stage'][] = ['aborted', 'address', 'connect', 'tls']
const MOST_NAMED = 3

/** How far the one came that came furthest, and what became of each. */
function furthest(whys: readonly NotOpen[]): NotOpen {
  const stage = STAGES.findLast((one) => whys.some((why) => why.stage === one)) ?? 'connect'
  const messages = [...new Set(whys.map(({ message }) => message))]
  const more = messages.length - MOST_NAMED
  const message = messages.slice(0, MOST_NAMED).join('; ') + (more > 0 ? `; and ${more} more` : '')
  return { kind: 'failed', stage, message }
}
