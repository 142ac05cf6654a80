/** Planted bugs in what is read of EDUs, what goes, and what is then acknowledged (see `planted.ts`). */
import fc from 'fast-check'
import { edus } from './edus.ts'
import type { ResultInput, DropInput } from './memory/delivery/results.ts'
import { beginningOf, type BeginInput } from './memory/delivery/transactions.ts'
import { headOf, openGapOf } from './memory/rules.ts'
import type { EduRow, OpenRow } from './memory/rows.ts'
import type { Call, Run } from './memory/statement.ts'
import { then } from './plant.ts'
import type { Bug } from './planted.ts'
import { HOUR, talk, type Command } from './schedule.ts'

/** A row of a reading. */
interface Read {
  upto: number
  pos: number | null
  type: string
  content: string | null
  expires_at: number | null
  key: string | null
}

/** Rows are read as others. */
const reading =
  (change: (rows: Read[]) => object[]) =>
  (right: Run): Run =>
  (call, values) =>
    change(right(call, values) as Read[])

/** Nothing is read, and nothing is passed. */
const nothing =
  (where: (call: Call, id: number) => boolean) =>
  (right: Run): Run =>
  (call, values) => {
    const [id, after] = values as unknown as number[]
    if (!where(call, id ?? 0)) return right(call, values)
    const row = { upto: after, pos: null, type: null, content: null, received_ts: null, expires_at: null }
    return [{ ...row, alone: null, key: null, who: null }]
  }

/** What is frozen, said otherwise. */
const freezing =
  (change: (input: BeginInput, call: Call) => void) =>
  (right: Run): Run =>
  (call, values) => {
    const input = values.map((one) =>
      Array.isArray(one) ? ([...one] as unknown) : one,
    ) as unknown as BeginInput
    change(input, call)
    return right(call, input as never)
  }

/** The places of what a freeze says of EDUs. */
const [POSITIONS, DURABLE_TO, EPHEMERAL_TO] = [23, 25, 26] as const
const SOONEST = 6
/** The place of what who begins to follow has had of EDUs that are not durable. */
const EPHEMERAL_OF_FOLLOWING = 7

const results =
  (change: (one: ResultInput | DropInput, call: Call) => void) =>
  (right: Run): Run =>
  (call, values) => {
    const [json] = values as unknown as [string]
    const all = JSON.parse(json) as (ResultInput | DropInput)[]
    for (const one of all) change(one, call)
    return right(call, [JSON.stringify(all)] as never)
  }

const stopped = ({ content }: Read): boolean => content?.includes('"typing":false') === true
const waitsFor = (call: Call, id: number, durable: boolean): boolean => {
  const d = call.t.destinations.get(id)
  const cursor = (durable ? d?.durable_pos : d?.ephemeral_pos) ?? 0
  return call.t.edus.all().some((edu) => edu.durable === durable && edu.pos > cursor)
}

/** A receipt goes with an event that is redacted before the answer. */
export const redactedWithAReceipt: Command[] = [
  { do: 'join', room: 0, door: '1', break: null },
  { do: 'remote', remote: { does: 'drops the answer' } },
  {
    ...{ do: 'edu', kind: 'receipt', to: 'room', room: 0, user: 'one', on: true, count: 1, ttlMs: null },
    ...{ size: 20, alone: false, door: '1', break: null },
  },
  talk(0),
  { do: 'turn', by: 'A', break: null },
  { do: 'redact', back: 0, door: '1', break: null },
  { do: 'remote', remote: { does: 'answers', lists: 'all', takesMs: 40 } },
  { do: 'operator', wish: 'wake' },
  { do: 'turn', by: 'A', break: null },
]

/** A room is purged and used again, and a durable EDU of it waits when the purge is looked at. */
export const aPurgeAndTheRoomAgain: Command[] = [
  { do: 'join', room: 0, door: '1', break: null },
  talk(0),
  { do: 'purge', room: 0, door: '1', break: null },
  { do: 'time', ms: 2 * HOUR },
  { do: 'join', room: 0, door: '1', break: null },
  {
    ...{ do: 'edu', kind: 'device list', to: 'room', room: 0, user: 'one', on: true, count: 1, ttlMs: null },
    ...{ size: 20, alone: false, door: '1', break: null },
  },
  { do: 'retention', break: null },
  { do: 'turn', by: 'A', break: null },
]

const PASSES = /a cursor of EDUs passes only what was sent/

export const EDU_BUGS: readonly Bug[] = [
  {
    bug: 'a durable EDU lost with a replaced one',
    how: 'an EDU replaces all of its type that came before it, whatever their keys',
    plant: () => ({
      statements: {
        'read durable EDUs': (right) => (call, values) => {
          const them = call.t.edus.all().filter(({ durable }) => durable)
          const isLost = ({ pos, type }: EduRow) =>
            them.some((later) => later.key !== null && later.type === type && later.pos > pos)
          const all = () => them.filter((one) => !isLost(one))
          return right({ ...call, t: { ...call.t, edus: { ...call.t.edus, all } } }, values)
        },
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'EDUs passed as their destination is followed while they wait for their time',
    how: 'who begins to follow is past all EDUs up to the head of the stream',
    plant: () => ({
      statements: {
        'begin to follow': (right) => (call, values) => {
          const input = [...values] as unknown[]
          input[EPHEMERAL_OF_FOLLOWING] = (input[EPHEMERAL_OF_FOLLOWING] as number[]).map(() =>
            headOf(call.t),
          )
          return right(call, input as never)
        },
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'a cursor that passes an unsent EDU',
    how: 'an answer moves the durable cursor to where the stream was read, whatever went',
    plant: () => ({
      statements: {
        'acknowledge and freeze': freezing((input, { t }) => {
          if (input[DURABLE_TO][0] != null) input[DURABLE_TO][0] = headOf(t)
        }),
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'the ephemeral cursor passes with the durable one',
    how: 'both cursors move to the farther of the two',
    plant: () => ({
      statements: {
        'acknowledge and freeze': freezing((input) => {
          if (input[EPHEMERAL_TO][0] != null)
            input[EPHEMERAL_TO][0] = Math.max(input[EPHEMERAL_TO][0], input[DURABLE_TO][0] ?? 0)
        }),
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'receipts that wait for messages',
    how: 'while a durable EDU waits no other is read',
    plant: () => ({
      statements: {
        'read ephemeral EDUs': nothing((call, id) => waitsFor(call, id, true)),
        'read ephemeral EDUs room by room': nothing((call, id) => waitsFor(call, id, true)),
      },
    }),
    drawn: edus,
    breaks: /no lane waits for another/,
  },
  {
    bug: 'messages that wait for receipts',
    how: 'while an ephemeral EDU waits no durable one is read',
    plant: () => ({
      statements: { 'read durable EDUs': nothing((call, id) => waitsFor(call, id, false)) },
    }),
    drawn: edus,
    breaks: /no lane waits for another/,
  },
  {
    bug: 'messages that wait for a catch-up',
    how: 'while a gap is open no durable EDU is read',
    plant: () => ({
      statements: { 'read durable EDUs': nothing(({ t }, id) => openGapOf(t, id) !== undefined) },
    }),
    drawn: edus,
    breaks: /no lane waits for another/,
  },
  {
    bug: 'a `typing: false` dropped',
    how: 'who has stopped is replaced by whoever else types there',
    plant: () => ({
      statements: {
        'read ephemeral EDUs': reading((rows) => {
          const last = rows.findLast(({ type }) => type === 'm.typing')
          return rows.map((row) => (stopped(row) ? { ...row, key: last?.key ?? null } : row))
        }),
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'an EDU acknowledged that was not in the transaction',
    how: 'the last of them is left out of what is kept, and of what is then sent again, and the cursor passes it',
    plant: () => ({
      statements: {
        'acknowledge and freeze': freezing((input) => {
          const its = beginningOf(input, 0).edus.positions ?? []
          if (its.length > 1) input[POSITIONS][0] = `{${its.slice(0, -1).join(',')}}`
        }),
      },
    }),
    drawn: edus,
    breaks: /a cursor of EDUs passes only|a transaction holds what was frozen|could not be restored/,
  },
  {
    bug: 'EDUs acknowledged by half a transaction',
    how: 'an answer to a transaction that holds no EDUs acknowledges those that came meanwhile',
    plant: () => ({
      statements: {
        'end the attempt': results((one, { t }) => {
          if ('outcome' in one && one.answered && one.durableTo === null) one.durableTo = headOf(t)
        }),
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'an EDU for a server that left before it',
    how: 'who once was in a room gets its EDUs',
    plant: () => ({
      statements: {
        'read ephemeral EDUs': (right) => (call, values) => {
          const all = () => call.t.memberships.all().map((m) => ({ ...m, until: null }))
          return right({ ...call, t: { ...call.t, memberships: { ...call.t.memberships, all } } }, values)
        },
      },
    }),
    drawn: edus,
    breaks: /EDUs go to who is entitled/,
  },
  {
    bug: 'an EDU for another server',
    how: 'of a list with more than one name everybody gets what is for it',
    plant: () => ({
      statements: {
        'read durable EDUs': (right) => (call, values) => {
          const [id] = values as unknown as [number]
          const all = () => call.t.recipients.all().map((one) => ({ ...one, list: [...one.list, id] }))
          return right({ ...call, t: { ...call.t, recipients: { ...call.t.recipients, all } } }, values)
        },
      },
    }),
    drawn: edus,
    breaks: /EDUs go to who is entitled|who is owed nothing is left alone/,
  },
  {
    bug: 'an EDU after its time',
    how: 'when its time is over is not read',
    plant: () => ({
      statements: {
        'read ephemeral EDUs': reading((rows) => rows.map((row) => ({ ...row, expires_at: null }))),
      },
    }),
    drawn: edus,
    breaks: /EDUs in their time/,
  },
  {
    bug: 'an EDU whose time ends before the freeze',
    how: 'the freeze does not ask whether the time of what was planned is over',
    plant: () => ({
      statements: {
        'acknowledge and freeze': freezing((input) => {
          if (input[EPHEMERAL_TO][0] != null) input[SOONEST][0] = null
        }),
      },
    }),
    drawn: edus,
    breaks: /EDUs in their time/,
  },
  {
    bug: 'a receipt under a second id',
    how: 'a transaction that is void leaves the ephemeral cursor where it was',
    plant: () => ({
      statements: {
        'end the attempt': results((one) => {
          if (!('outcome' in one)) one.handed = false
        }),
      },
    }),
    // Random ones seldom come to it.
    drawn: fc.constant(redactedWithAReceipt),
    breaks: /what is ephemeral goes under one id/,
  },
  {
    bug: 'a receipt under a second id, after time-outs',
    how: 'a transaction that ends as less is to go at once leaves the ephemeral cursor where it was',
    plant: () => ({
      statements: {
        'end the attempt': results((one) => {
          if ('outcome' in one) one.mayHaveArrived = false
        }),
      },
    }),
    drawn: edus,
    breaks: /what is ephemeral goes under one id/,
  },
  {
    bug: 'EDUs lost where a transaction never left',
    how: 'what was put together and not sent counts as sent',
    plant: () => ({
      statements: {
        'end the attempt': results((one) => {
          if ('outcome' in one && one.outcome === 'never_left') one.mayHaveArrived = true
        }),
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'EDUs of an unanswered transaction forgotten',
    how: 'who goes on with it reads that it holds none',
    plant: () => ({
      statements: {
        'look at the destination': (right) => (call, values) => {
          const rows = right(call, values)
          return typeof rows === 'number' ? rows : rows.map((row) => ({ ...row, edu_form: null }))
        },
      },
    }),
    drawn: edus,
    breaks: /could not be restored|I3/,
  },
  {
    bug: 'EDUs of a transaction that the release before replaced',
    how: 'it leaves what belongs to the older id, and nobody asks whose it is',
    plant: () => {
      const { freeze } = theReleaseBefore()
      return {
        statements: {
          'acknowledge and freeze': freeze,
          'look at the destination': (right) => (call, values) => {
            const rows = right(call, values) as { id: number }[]
            return rows.map((row) => ({
              ...row,
              edu_form: call.t.open_transactions.get(row.id)?.edu_form ?? null,
            }))
          },
        },
      }
    },
    drawn: edus,
    breaks: /could not be restored|I3/,
  },
  {
    bug: 'a durable EDU gone with a purge before it',
    how: 'what is left of a purged room is removed, with what came after the purge',
    plant: () => ({
      statements: {
        'forget EDUs of purged rooms':
          () =>
          ({ t }) => {
            const purged = t.changes.all().flatMap(({ kind, room }) => (kind === 'purge' ? [room] : []))
            const gone = t.edus.all().filter(({ durable, room }) => durable && purged.includes(room))
            for (const { pos } of gone) t.edus.delete(pos)
            return gone.length
          },
      },
    }),
    // Random ones hardly ever come to it.
    drawn: fc.constant(aPurgeAndTheRoomAgain),
    breaks: /a cursor of EDUs passes only what was sent|everything owed arrives/,
  },
  {
    bug: 'EDUs that were given up',
    how: 'an operator’s skip leaves the cursors of EDUs where they were',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const [, , id] = values as unknown as [string, number, number]
          const before = call.t.destinations.get(id)
          const result = right(call, values)
          if (before !== undefined && Array.isArray(result) && result.length > 0)
            call.t.destinations.change(id, {
              durable_pos: before.durable_pos,
              ephemeral_pos: before.ephemeral_pos,
            })
          return result
        },
      },
    }),
    drawn: edus,
    breaks: /skipped by an operator|cursors of EDUs only move forward/,
  },
  {
    bug: 'what is let go with EDUs left',
    how: 'a destination that is let go has had all EDUs',
    plant: () => ({
      statements: {
        'let go': then<[number[]]>(({ t }, [ids]) => {
          for (const id of ids) {
            const d = t.destinations.get(id)
            if (d?.lease_owner === null)
              t.destinations.change(id, { ephemeral_pos: Math.max(d.ephemeral_pos, headOf(t)) })
          }
        }),
      },
    }),
    drawn: edus,
    breaks: PASSES,
  },
  {
    bug: 'a large EDU that others are with',
    how: 'that it goes alone is not stored',
    plant: () => ({
      statements: {
        'insert EDUs': (right) => (call, values) =>
          right(
            call,
            values.map((one, i) => (i === ALONE ? (one as unknown[]).map(() => null) : one)) as never,
          ),
      },
    }),
    drawn: edus,
    breaks: /what is too large goes alone/,
  },
]

/** Where an insert says what goes alone. */
const ALONE = 5

/** The release before knows nothing of EDUs: what it freezes in the place of a transaction leaves those columns as they are. */
function theReleaseBefore() {
  const before = new Map<number, Partial<OpenRow>>()
  const freeze =
    (right: Run): Run =>
    (call, values) => {
      const result = right(call, values)
      const { id, edus, again } = beginningOf(values as unknown as BeginInput, 0)
      const open = call.t.open_transactions.get(id)
      if (!Array.isArray(result) || result.length === 0 || open === undefined || again !== null) return result
      const { edu_txn, edu_form, edu_positions, durable_to, ephemeral_to } = open
      if (edus.form !== null) before.set(id, { edu_txn, edu_form, edu_positions, durable_to, ephemeral_to })
      else call.t.open_transactions.put(id, { ...open, ...before.get(id) })
      return result
    }
  return { freeze }
}
