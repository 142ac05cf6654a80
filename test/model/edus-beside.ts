/** Schedules with EDUs in which something else happens too: events and senders are erased, some events go alone, operators block, an uplink goes. */
import fc from 'fast-check'
import { piece } from './edus.ts'
import { erasing } from './erasing.ts'
import { odd } from './odd.ts'
import { schedulesWithBlocks, type Command } from './schedule.ts'
import { uplinks } from './uplinks.ts'

export const edusBeside: fc.Arbitrary<Command[]> = fc
  .record({
    schedule: fc.oneof(erasing, odd, schedulesWithBlocks, uplinks),
    pieces: fc.array(piece, { minLength: 1, maxLength: 8, size: 'max' }),
  })
  .map(({ schedule, pieces }) => mixed(schedule, pieces))

/** The pieces are spread over the schedule. */
function mixed(schedule: readonly Command[], pieces: readonly Command[][]): Command[] {
  const length = Math.ceil(schedule.length / (pieces.length + 1))
  return [
    ...pieces.flatMap((one, i) => [...schedule.slice(i * length, (i + 1) * length), ...one]),
    ...schedule.slice(pieces.length * length),
  ]
}
