/** Schedules in which some events are odd, and so go alone. They are drawn apart, so that the seeds of the others stay what they were. */
import fc from 'fast-check'
import { isolating } from './isolating.ts'
import { schedules, type Command } from './schedule.ts'

export const odd: fc.Arbitrary<Command[]> = fc
  .record({
    schedule: fc.oneof(isolating, schedules),
    those: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
  })
  .map(({ schedule, those }) =>
    schedule.map((one, i) =>
      one.do === 'append' && those[i % those.length] === true ? { ...one, odd: true } : one,
    ),
  )
