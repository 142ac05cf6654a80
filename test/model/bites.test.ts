/**
 * Does the model test bite? Each of these bugs, planted one at a time, must be caught, or the model test
 * says nothing when it is green.
 */
import { expect } from 'chai'
import { worthCounting } from '../../src/deliver/catch-up.ts'
import { planTransaction } from '../../src/deliver/plan.ts'
import { findFailure } from './check.ts'
import { makeMemoryDriver, type Parts } from './memory-driver.ts'
import type { Bugs } from './memory-store.ts'
import { inWords } from './schedule.ts'

/** Schedules within which each must be caught; the seed is fixed, so that this test is the same every time. */
const WITHIN = 4_000
const SEED = 20_260_101

interface Planted {
  bug: string
  bugs?: Bugs
  parts?: Partial<Parts>
  /** The promise that it breaks, as the model names it. */
  breaks: RegExp
}

const PLANTED: Planted[] = [
  {
    bug: 'catch-up moves one watermark along instead of going through a fixed range',
    parts: {
      planTransaction: (reading, limits) => {
        const rooms = reading.gapRooms.length > 0
        // As in the prototypes: what is sticky comes along with the timeline, after the rooms.
        const plan = planTransaction(rooms ? { ...reading, sticky: [] } : reading, limits)
        const newest = reading.gapRooms[0]
        if (plan.do !== 'send' || newest === undefined) return plan
        const { acknowledges } = plan
        return { ...plan, acknowledges: { ...acknowledges, position: newest.pos, closesGap: true } }
      },
    },
    breaks: /sticky event|passes only what was sent/,
  },
  {
    bug: 'a join replay is lost when the worker dies',
    bugs: { joinsDieWithWorker: true },
    breaks: /I8|replay \d+ has to wait/,
  },
  {
    bug: 'a membership does not cover the event at its end',
    bugs: { untilExclusive: true },
    breaks: /passes only what was sent|I6/,
  },
  {
    bug: 'what has lapsed is replayed: nothing asks when the transaction is put together',
    bugs: { lapseUnchecked: true },
    breaks: /I7/,
  },
  {
    bug: 'a burst opens a gap for a healthy destination',
    parts: {
      worthCounting: (at, now, settings) => worthCounting(at, now, { ...settings, min_age_ms: -1 }),
    },
    breaks: /no gap without need/,
  },
  {
    bug: 'an acknowledgement is lost behind a later freeze',
    bugs: { lateAcknowledgement: true },
    breaks: /I4|I8/,
  },
  {
    bug: 'a rejoin between the lanes: what was listed before it is not replayed after it',
    bugs: { rejoinForgotten: true },
    breaks: /I8/,
  },
  {
    bug: 'a timeline sticky event that an answer does not list is not repeated',
    bugs: { unlistedOnlyReplays: true },
    breaks: /not listed is repeated/,
  },
  {
    bug: 'a freeze does not ask whether a redact came after its reading',
    bugs: { redactUnchecked: true },
    breaks: /I12/,
  },
  {
    bug: 'a worker whose lease is over still writes',
    bugs: { staleWriter: true },
    breaks: /I8|I2|I4|behind our position/,
  },
  {
    bug: 'what an operator asks while a request is under way is lost with its result',
    bugs: { wishesOverwritten: true },
    breaks: /try now/,
  },
  {
    bug: 'a full lane of replays acknowledges more than it sends',
    parts: {
      planTransaction: (reading, limits) => {
        const plan = planTransaction(reading, limits)
        if (plan.do !== 'send') return plan
        const sticky = reading.owed.map((row) => ({ ...row, cursor: row.upto ?? reading.head }))
        return { ...plan, acknowledges: { ...plan.acknowledges, sticky } }
      },
    },
    breaks: /sticky event|I8/,
  },
]

describe('the model test', function () {
  this.timeout(120_000)

  for (const { bug, bugs, parts, breaks } of PLANTED) {
    it(`catches: ${bug}`, async () => {
      const failed = await findFailure(() => Promise.resolve(makeMemoryDriver(bugs, parts)), {
        runs: WITHIN,
        seed: SEED,
      })
      expect(failed, `not within ${WITHIN} schedules`).not.to.equal(null)
      if (process.env['LIMPET_SHOW_BITES'] !== undefined) {
        console.log(`${failed?.runs}: ${failed?.why.split('\n')[0]}\n${inWords(failed?.schedule ?? [])}`)
      }
      expect(failed?.why).to.match(breaks)
    })
  }
})
