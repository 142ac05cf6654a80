/** Planted bugs in the search for EDUs that a destination refuses, and in what it finds (see `planted.ts`). */
import { openEdus } from './memory/edus.ts'
import type { DropInput, ResultInput } from './memory/delivery/results.ts'
import { headOf } from './memory/rules.ts'
import { keyOf, type DestinationRow, type EduApartRow } from './memory/rows.ts'
import type { Call, Run } from './memory/statement.ts'
import { then } from './plant.ts'
import type { Bug } from './planted.ts'
import { refusingEdus } from './refusing-edus.ts'

type Isolated = NonNullable<DestinationRow['isolation']>

const isSearched = ({ t }: Call, id: number): boolean => t.destinations.get(id)?.isolation?.edus !== undefined

/** What is known of its refusals is written otherwise. */
const isolated = (change: (isolation: Isolated) => Isolated): ((right: Run) => Run) =>
  then<[string]>(({ t }, [json]) => {
    for (const { destination } of JSON.parse(json) as ResultInput[]) {
      const isolation = t.destinations.get(destination)?.isolation
      if (isolation != null) t.destinations.change(destination, { isolation: change(isolation) })
    }
  })

/** One value of an EDU that is taken out. */
const takingOut =
  (change: (call: Call, values: unknown[]) => void) =>
  (right: Run): Run =>
  (call, values) => {
    const others: unknown[] = [...values]
    change(call, others)
    return right(call, others as never)
  }

/** The places of what is taken out. */
const [DURABLE_TO, EPHEMERAL_TO, SURE] = [4, 5, 7] as const

const rowsOf =
  (change: (row: EduApartRow) => object) =>
  (right: Run): Run =>
  (call, values) =>
    (right(call, values) as EduApartRow[]).map(change)

const forget = ({ t }: Call, isMeant: (row: EduApartRow) => boolean): void => {
  for (const one of t.edus_apart.all())
    if (isMeant(one)) t.edus_apart.delete(keyOf.eduApart(one.destination, one.pos))
}

/** The first durable one of several that were refused is set aside with the end of their transaction. */
const firstOfMany =
  (right: Run): Run =>
  (call, values) => {
    const { t, now } = call
    const [json] = values as unknown as [string]
    for (const one of JSON.parse(json) as (ResultInput | DropInput)[]) {
      const { destination, txnId } = one
      const open = t.open_transactions.get(destination)
      if ('outcome' in one || open?.txn_id !== txnId || one.handed || !isSearched(call, destination)) continue
      const pos = openEdus(open).find((each) => t.edus.get(each)?.durable === true)
      const d = t.destinations.get(destination)
      if (pos === undefined || d === undefined || openEdus(open).length < 2) continue
      const row = {
        destination,
        pos,
        since: now,
        sure: true,
        tries: 0,
        next_at: now,
        status: 500,
        message: '',
      }
      t.edus_apart.put(keyOf.eduApart(destination, pos), row)
      t.destinations.change(destination, { durable_pos: Math.max(d.durable_pos, pos) })
    }
    return right(call, values)
  }

const ASIDE = /only what was refused alone is set aside/
const KEPT = /what is set aside is kept/

export const REFUSED_EDU_BUGS: readonly Bug[] = [
  {
    bug: 'an EDU set aside that was never alone',
    how: 'of several that were refused the first durable one is set aside',
    plant: () => ({ statements: { 'end the attempt': firstOfMany } }),
    drawn: refusingEdus,
    breaks: ASIDE,
  },
  {
    bug: 'a set-aside EDU lost with its row',
    how: 'what is taken out of its lane has no row',
    plant: () => ({
      statements: {
        'take an EDU out of its lane': then<unknown[]>((call, [, , id, , , , its]) => {
          forget(call, ({ destination, pos }) => destination === id && pos === its)
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: KEPT,
  },
  {
    bug: 'a search that forgets the other lane',
    how: 'with one that is taken out the lane of what is not durable goes on at the head of the stream',
    plant: () => ({
      statements: {
        'take an EDU out of its lane': takingOut(({ t }, values) => {
          values[EPHEMERAL_TO] = headOf(t)
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: /a cursor of EDUs passes only what was sent/,
  },
  {
    bug: 'a search that passes what was not sent',
    how: 'with one that is set aside its lane goes on at the head of the stream',
    plant: () => ({
      statements: {
        'take an EDU out of its lane': takingOut(({ t }, values) => {
          values[DURABLE_TO] = headOf(t)
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: /a cursor of EDUs passes only what was sent/,
  },
  {
    bug: 'a 502 that sets an EDU aside',
    how: 'what a gateway refused alone once counts as refused twice',
    plant: () => ({
      statements: {
        'end the attempt': isolated((isolation) => {
          const { edus } = isolation
          if (edus?.of?.tries !== 1) return isolation
          return { ...isolation, edus: { ...edus, of: { ...edus.of, tries: 2 } } }
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: ASIDE,
  },
  {
    bug: 'EDUs that are asked about after their first 502',
    how: 'while EDUs are searched, the first refusal by a gateway is asked about at once',
    plant: () => ({
      statements: {
        'end the attempt': isolated((isolation) =>
          isolation.edus !== undefined && isolation.refusals === 1 ? { ...isolation, asks: true } : isolation,
        ),
      },
    }),
    drawn: refusingEdus,
    breaks: /an empty transaction asks whose fault it is/,
  },
  {
    bug: 'an answer that ends what is set aside',
    how: 'whatever is answered, nothing of EDUs is apart after it',
    plant: () => ({
      statements: {
        'end the attempt': then<[string]>((call, [json]) => {
          for (const one of JSON.parse(json) as ResultInput[])
            if (one.answered) forget(call, ({ destination }) => destination === one.destination)
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: KEPT,
  },
  {
    bug: 'an EDU set aside by one who refuses everything',
    how: 'what goes out of the way, with nothing concluded, is set aside',
    plant: () => ({
      statements: {
        'take an EDU out of its lane': takingOut((_, values) => {
          values[SURE] = true
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: ASIDE,
  },
  {
    bug: 'EDUs that all go out of the way',
    how: 'it is not asked how many are out of the way with nothing concluded',
    plant: () => ({
      statements: { 'how many EDUs are apart in doubt': () => () => [{ n: 0 }] },
    }),
    drawn: refusingEdus,
    breaks: ASIDE,
  },
  {
    bug: 'a durable EDU that is dropped',
    how: 'what is refused is dropped, durable or not',
    plant: () => ({ statements: { 'is an EDU durable': () => () => [{ durable: false }] } }),
    drawn: refusingEdus,
    breaks: /what is durable is set aside/,
  },
  {
    bug: 'PDUs that go with EDUs which are searched',
    how: 'who looks does not see that EDUs are searched',
    plant: () => ({
      statements: {
        'look at the destination': (right) => (call, values) =>
          (right(call, values) as DestinationRow[]).map((row) => {
            if (row.isolation === null) return row
            const isolation = { ...row.isolation }
            delete isolation.edus
            return { ...row, isolation }
          }),
      },
    }),
    drawn: refusingEdus,
    breaks: /EDUs that are searched go apart from PDUs/,
  },
  {
    bug: 'a set-aside EDU that is tried at once',
    how: 'whenever it is looked at what is set aside is due',
    plant: () => ({
      statements: { 'read EDUs that are apart': rowsOf((row) => ({ ...row, next_at: 0 })) },
    }),
    drawn: refusingEdus,
    breaks: /what is set aside is tried in its time/,
  },
  {
    bug: 'a skip that leaves what is set aside of EDUs',
    how: 'what an operator gave up is still sent where it was out of its lane',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const before = call.t.edus_apart.all()
          const result = right(call, values)
          for (const one of before) call.t.edus_apart.put(keyOf.eduApart(one.destination, one.pos), one)
          return result
        },
      },
    }),
    drawn: refusingEdus,
    breaks: /skipped by an operator/,
  },
  {
    bug: 'a retry that loses a set-aside EDU',
    how: 'what an operator has tried is apart no more',
    plant: () => ({
      statements: {
        'try an EDU that is set aside': then<[number, number]>((call, [id, its]) => {
          forget(call, ({ destination, pos }) => destination === id && pos === its)
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: KEPT,
  },
  {
    bug: "a drop that drops another destination's EDU",
    how: 'what is dropped is found by its position alone',
    seed: 21,
    plant: () => ({
      statements: {
        'drop an EDU that is set aside': then<[number, string, number]>((call, [id, , its]) => {
          forget(call, ({ destination, pos }) => destination !== id && pos === its)
        }),
      },
    }),
    drawn: refusingEdus,
    breaks: KEPT,
  },
]
