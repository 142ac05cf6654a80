/** Places for as many as a test has at once. */
import { makeBodies } from '../../src/deliver/body-memory.ts'
import { makeImpatience } from '../../src/deliver/impatience.ts'
import { systemClock, type Clock } from '../../src/pace/clock.ts'
import { makePartGate } from '../../src/pace/part-gate.ts'

export const gateOf = (all: number) => makePartGate({ all, recovering: all })

export function placesFor(
  count: number,
  { bytes = 100_000_000, clock = systemClock }: { bytes?: number; clock?: Clock } = {},
) {
  const [place, dialling, bodies] = [gateOf(count), gateOf(count), makeBodies(bytes)]
  return { place, dialling, bodies, impatience: makeImpatience({ clock, place, dialling, bodies }) }
}
