/** Planted bugs in the search for what a destination refuses, and in what it finds (see `planted.ts`). */
import fc from 'fast-check'
import { DEAD_INTERVAL_MS } from '../../src/deliver/rules/backoff.ts'
import type { ResultInput } from './memory/delivery/results.ts'
import { keyOf, type ApartRow } from './memory/rows.ts'
import { headOf, openGapOf } from './memory/rules.ts'
import type { Run } from './memory/statement.ts'
import { besideASearch } from './beside-a-search.ts'
import { isolating, quarantined } from './isolating.ts'
import { locked } from './locked.ts'
import { changingWaits, then } from './plant.ts'
import { skippedLate } from './rare-isolating.ts'
import { endsWithinAGap } from './shown-beside-a-search.ts'
import type { Bug } from './planted.ts'

const nothing = () => (): Run => () => []

/** Something else becomes of what a gateway refused alone once. */
const refusedOnce = (over: (now: number) => Partial<ApartRow>) =>
  then<[number, number[], (number | null)[], number[], number[]]>(({ t, now }, [id, [pos], , , [tries]]) => {
    const key = keyOf.apart(id, pos ?? 0)
    const row = t.apart.get(key)
    if (row?.grp != null && tries === 1) t.apart.put(key, { ...row, ...over(now) })
  })

/** What is taken apart is taken for what the lanes had passed up to there, or not. */
const passed =
  (position: number) =>
  (right: Run): Run =>
  (call, values) =>
    right(call, [...values.slice(0, -1), position as never])

/** What the statement has just taken out counts as refused. */
export const suspected = (idAt: number): ((right: Run) => Run) =>
  then<readonly unknown[]>(({ t }, values) => {
    for (const one of t.apart.all())
      if (one.destination === values[idAt] && one.tries < 0)
        t.apart.put(keyOf.apart(one.destination, one.pos), { ...one, tries: 0 })
  })

export const ISOLATING_BUGS: readonly Bug[] = [
  {
    bug: 'a 502 that ends in quarantine',
    how: 'whatever an empty transaction is answered counts as a 200',
    plant: () => ({}),
    options: { emptyIsAnswered: true },
    drawn: isolating,
    breaks: /same id, same bytes|one unanswered id/,
  },
  {
    bug: 'a probe that advances',
    how: 'the answer to an empty transaction moves the position to the head',
    plant: () => ({
      statements: {
        'end the attempt': then<[string]>(({ t }, [json]) => {
          for (const one of JSON.parse(json) as ResultInput[]) {
            if ('outcome' in one && one.outcome === 'answered' && one.positions.length === 0)
              t.destinations.change(one.destination, { position: headOf(t) })
          }
        }),
      },
    }),
    drawn: isolating,
    breaks: /position passes only what was sent|one unanswered id/,
  },
  {
    bug: 'a half acknowledged as a whole',
    how: 'an answer to a half ends everything that is apart',
    plant: () => ({
      statements: {
        'it is apart no more': then<[number]>(({ t }, [id]) => {
          for (const one of t.apart.all())
            if (one.destination === id) t.apart.delete(keyOf.apart(id, one.pos))
        }),
      },
    }),
    drawn: isolating,
    breaks: /position passes only what was sent/,
  },
  {
    bug: 'a set-aside PDU lost with its row',
    how: 'what is set aside has no row any more',
    plant: () => ({
      statements: {
        'sort what is apart': then<[number]>(({ t }, [id]) => {
          for (const one of t.apart.all())
            if (one.destination === id && one.grp === null) t.apart.delete(keyOf.apart(id, one.pos))
        }),
      },
    }),
    drawn: isolating,
    breaks: /position passes only what was sent/,
  },
  {
    bug: 'a room that forgets what it missed',
    how: 'a room that waited goes on with what comes next',
    plant: () => ({
      statements: {
        'what a room has missed': nothing(),
      },
    }),
    drawn: isolating,
    breaks: /position passes only what was sent|everything owed arrives/,
  },
  {
    bug: 'retention that forgets what is searched',
    how: 'what is apart is not kept when its part of the log goes',
    plant: () => ({ statements: { 'what is apart and needs it': nothing() } }),
    drawn: isolating,
    breaks: /what is owed is kept/,
  },
  {
    bug: 'a skip that leaves what is apart',
    how: 'what an operator gave up is still sent where it was out of all lanes',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const before = call.t.apart.all()
          const result = right(call, values)
          for (const one of before) call.t.apart.put(keyOf.apart(one.destination, one.pos), one)
          return result
        },
      },
    }),
    drawn: isolating,
    breaks: /once \(I8\)|skipped by an operator/,
  },
  {
    bug: 'a gateway that is believed at once',
    how: 'what a 502 refused alone once is set aside',
    plant: () => ({
      statements: { 'sort what is apart': refusedOnce((now) => ({ grp: null, next_at: now + 900_000 })) },
    }),
    drawn: isolating,
    breaks: /only what was refused alone is set aside/,
  },
  {
    bug: 'a half that is asked about after its first 502',
    how: 'the first refusal of a half by a gateway is asked about at once',
    plant: () => ({
      statements: {
        'end the attempt': then<[string]>(({ t }, [json]) => {
          for (const { destination } of JSON.parse(json) as ResultInput[]) {
            const isolation = t.destinations.get(destination)?.isolation
            if (isolation?.search != null && isolation.refusals === 1)
              t.destinations.change(destination, { isolation: { ...isolation, asks: true } })
          }
        }),
      },
    }),
    drawn: isolating,
    breaks: /an empty transaction asks whose fault it is/,
  },
  {
    bug: 'a room that ends behind an open gap',
    how: 'a room waits no more once it has caught up with the position, though the cursor of a gap is farther',
    plant: () => ({
      statements: {
        'what a room has missed': (right) => (call, values) => {
          // One is asked for where the room may end.
          const [id, after, upto, room, limit] = values as unknown as [number, number, number, number, number]
          const position = call.t.destinations.get(id)?.position ?? 0
          const isOfGap = limit === 1 && openGapOf(call.t, id)?.cursor === upto
          const asked = [id, after, isOfGap ? Math.min(upto, position) : upto, room, limit]
          return right(call, asked as unknown as typeof values)
        },
      },
    }),
    // Random ones hardly ever come to it.
    drawn: fc.constant(endsWithinAGap),
    breaks: /position passes only what was sent|everything owed arrives/,
  },
  {
    bug: 'a skip after which what was held is never sent',
    how: 'what came later than the skip, of a room that was held, waits with it though it is held no more',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const isWith = (one: ApartRow) => one.grp === null && one.next_at === null
          const before = call.t.apart.all().filter(isWith)
          const result = right(call, values)
          for (const one of before) {
            const key = keyOf.apart(one.destination, one.pos)
            if (call.t.apart.get(key) !== undefined) call.t.apart.put(key, one)
          }
          return result
        },
      },
    }),
    drawn: skippedLate,
    breaks: /position passes only what was sent|everything owed arrives/,
  },
  {
    bug: 'a room that goes on, asked about after one refusal',
    how: 'what a room missed that waited counts as refused before it was sent',
    plant: () => ({ statements: { 'a room goes on': suspected(2) } }),
    drawn: isolating,
    breaks: /an empty transaction asks whose fault it is/,
  },
  {
    bug: 'a room that is overtaken, asked about after one refusal',
    how: 'what catch-up leaves of a room that waits counts as refused before it was sent',
    plant: () => ({ statements: { 'a room is overtaken': suspected(0) } }),
    drawn: besideASearch,
    breaks: /an empty transaction asks whose fault it is/,
  },
  {
    bug: 'a PDU in doubt that its room overtakes',
    how: 'what a gateway refused alone once goes last',
    plant: () => ({ statements: { 'sort what is apart': refusedOnce(() => ({ grp: 1_000 })) } }),
    drawn: isolating,
    breaks: /what a gateway refuses keeps its place/,
  },
  {
    bug: 'a room that waits and is sent all the same',
    how: 'a room does not wait for what is searched of it',
    plant: () => ({
      statements: {
        'take apart what was refused': then<[string, number, number]>(({ t }, [, , id]) => {
          for (const one of t.waiting_rooms.all())
            if (one.destination === id) t.waiting_rooms.delete(keyOf.waits(id, one.room))
        }),
      },
    }),
    drawn: isolating,
    breaks: /a room waits behind what is searched of it/,
  },
  {
    bug: 'a retry that loses the row',
    how: 'what an operator has tried is apart no more',
    plant: () => ({
      statements: {
        'try what is set aside': then<[number, number]>(({ t }, [id, pos]) => {
          if (t.apart.get(keyOf.apart(id, pos)) !== undefined) t.apart.delete(keyOf.apart(id, pos))
        }),
      },
    }),
    drawn: quarantined,
    breaks: /position passes only what was sent/,
  },
  {
    bug: "a drop that drops another destination's",
    how: 'what is dropped is found by its position alone',
    plant: () => ({
      statements: {
        'drop what is set aside': then<[number, string, number]>(({ t }, [id, , pos]) => {
          for (const one of t.apart.all())
            if (one.destination !== id && one.pos === pos) t.apart.delete(keyOf.apart(one.destination, pos))
        }),
      },
    }),
    drawn: quarantined,
    breaks: /position passes only what was sent/,
  },
  {
    bug: 'a replay that lapsed goes as an event that was given up',
    how: 'whatever the lanes have passed, a replay that is taken apart is an ordinary event of the timeline from then on',
    plant: () => ({ statements: { 'take apart what was refused': passed(0) } }),
    drawn: isolating,
    seed: 20261134,
    breaks: /once \(I8\)|skipped by an operator/,
  },
  {
    bug: 'an event lost with its replay',
    how: 'a replay that is taken apart is owed as a replay alone, and goes when it lapses',
    plant: () => ({ statements: { 'take apart what was refused': passed(Infinity) } }),
    drawn: besideASearch,
    seed: 87,
    breaks: /position passes only what was sent/,
  },
  {
    bug: 'a try before its time that makes the wait of one that lets nobody in longer',
    how: 'the question after it doubles the wait, as that after an ordinary attempt does',
    plant: () => ({
      statements: {
        'end the attempt': changingWaits(({ outcome, positions, waiting, isolation }) => {
          if (outcome === 'answered' || positions.length > 0) return waiting
          if (isolation?.asksEarly !== true || isolation.locked === null) return waiting
          const more = waiting.retryInterval ?? 0
          return { ...waiting, retryAt: (waiting.retryAt ?? 0) + more, retryInterval: 2 * more }
        }),
      },
    }),
    drawn: locked,
    breaks: /a try before its time leaves the backoff as it was/,
  },
  {
    bug: 'a sweep that cuts the wait of one that lets nobody in',
    how: 'only the week of the dead may be longer than the longest backoff',
    plant: () => ({
      statements: {
        'cut impossible waits': (right) => (call, values) => {
          const [longest, day, hour] = values as unknown as number[]
          return right(call, [longest, day, hour, [DEAD_INTERVAL_MS]] as never)
        },
      },
    }),
    drawn: locked,
    breaks: /backoff \(5\.8\)/,
  },
]
