/**
 * Bugs that the model test must see, each planted by putting something else in the place of one statement or one
 * condition of the database in memory, by a setting, or by what ingest makes of a request. Nothing in `src` knows of them.
 */
import type fc from 'fast-check'
import type { Planted } from './memory/pool.ts'
import { eventsBetween, headOf, inRoomNow, lives, openGapOf } from './memory/rules.ts'
import { keyOf, type DestinationRow, type OpenRow, type Schema } from './memory/rows.ts'
import { beginningOf, type BeginInput } from './memory/delivery/transactions.ts'
import type { ResultInput } from './memory/delivery/results.ts'
import type { Call, Run } from './memory/statement.ts'
import type { Table, Tables } from './memory/tables.ts'
import { SETTINGS } from './driver.ts'
import type { Given } from './producer.ts'
import { CUTTING_BUGS } from './planted-cutting.ts'
import { EDU_BUGS } from './planted-edus.ts'
import { ERASING_BUGS } from './planted-erasing.ts'
import { then } from './plant.ts'
import { ISOLATING_BUGS } from './planted-isolating.ts'
import { LAPSING_BUGS } from './planted-lapsing.ts'
import { ODD_BUGS } from './planted-odd.ts'
import { REFUSED_EDU_BUGS } from './planted-refused-edus.ts'
import { REPEAT_BUGS } from './planted-repeats.ts'
import { UPLINK_BUGS } from './planted-uplinks.ts'
import { schedulesWithBlocks, type Command } from './schedule.ts'
import type { WorldOptions } from './world.ts'

/** Schedules within which each must be caught, and the seed they come from where a bug names no other: every run is the same. */
export const WITHIN = 300
export const BITES_SEED = 1

export interface Bug {
  bug: string
  /** How it is planted. */
  how: string
  /** A planted bug may remember something, so each schedule gets its own. */
  plant: () => Planted
  options?: WorldOptions
  /** A seed with which it is caught early; every run is the same. */
  seed?: number
  /** Schedules to draw from; absent: those of every run. */
  drawn?: fc.Arbitrary<Command[]>
  /** The promise that it breaks, as the model names it. */
  breaks: RegExp
}

/** The statement runs on something else. */
const on =
  (change: (call: Call, values: readonly unknown[]) => { call?: Call; values?: readonly unknown[] }) =>
  (right: Run): Run =>
  (call, values) => {
    const other = change(call, values)
    return right(other.call ?? call, (other.values ?? values) as readonly never[])
  }

const withoutChanges = on((call) => ({
  call: { ...call, t: { ...call.t, changes: { ...call.t.changes, all: () => [] } } },
}))

/** Only where who freezes has not looked at the rows just now, as the model has it one at a time. */
const forTheFollowed =
  (plant: (right: Run) => Run) =>
  (right: Run): Run =>
  (call, values) => {
    const { wakeSeq } = beginningOf(values as unknown as BeginInput, 0)
    return wakeSeq === null ? right(call, values) : plant(right)(call, values)
  }

/** A lease outlives the server that gave it. */
const outlived = on((call) => {
  const { workers } = call.t
  const get = (id: string | number) => {
    const row = workers.get(id)
    return row === undefined ? undefined : { ...row, of_before: false }
  }
  return { call: { ...call, t: { ...call.t, workers: { ...workers, get } } } }
})

/** What is frozen, as if it had been planned from these rows. */
function withNarrowed(
  values: readonly unknown[],
  rowOf: (destination: number) => DestinationRow | undefined,
): BeginInput {
  const [...input] = values as unknown as BeginInput
  input[4] = input[4].map((seq, i) => rowOf(input[0][i] ?? 0)?.narrowed_seq ?? seq)
  return input
}

/** A request whose lists are read in another way. */
const readingSets =
  (
    read: (
      set: readonly string[],
      keep: readonly string[],
    ) => { set: readonly string[]; keep: readonly string[] },
  ) =>
  (given: Given): Given => ({
    ...given,
    items: given.items.map((item) =>
      item.type === 'servers' && 'set' in item.change
        ? { ...item, change: read(item.change.set, item.change.keep ?? []) }
        : item,
    ),
  })

interface LogRow {
  pos: number | null
  head: number
}

export const BUGS: readonly Bug[] = [
  {
    bug: 'the moved watermark of catch-up',
    how: 'an answer to the first room of a gap moves the position there and ends the gap; what is sticky comes with the timeline',
    plant: () => ({
      statements: {
        'read sticky events owed': (right) => (call, values) =>
          openGapOf(call.t, Number(values[0])) === undefined ? right(call, values) : [],
        'end the attempt': then<[string]>(({ t, now }, [json]) => {
          for (const { destination: id, answered, positions, lanes } of JSON.parse(json) as ResultInput[]) {
            const gap = openGapOf(t, id)
            if (!answered || !lanes.includes('c') || gap === undefined) continue
            t.destinations.change(id, { position: Math.max(...positions) })
            t.gaps.change(gap.id, { closed_at: now })
            t.sticky_owed.delete(keyOf.owed(id, null))
          }
        }),
      },
    }),
    breaks: /sticky event|passes only what was sent|I6/,
  },
  {
    bug: 'a join replay lost in a crash',
    how: 'what a join owes is kept by the processes that deliver, not in the commit of the join',
    plant: () => ({
      crash: ({ sticky_owed }) => {
        for (const [key, { room }] of sticky_owed) if (room !== null) sticky_owed.delete(key)
      },
    }),
    seed: 96,
    breaks: /I8|replay \d+ has to wait/,
  },
  {
    bug: '`until` exclusive',
    how: 'a membership does not cover the event right before its end',
    plant: () => ({
      rules: {
        memberAt: (t, { room, pos }, destination) =>
          t.memberships
            .all()
            .some(
              (m) =>
                m.room === room &&
                m.destination === destination &&
                m.since < pos &&
                (m.until === null || pos < m.until - 1),
            ),
      },
    }),
    breaks: /passes only what was sent|I6/,
  },
  {
    bug: 'a lapsed replay',
    how: 'nobody asks, when a transaction is put together, whether a replay has lapsed',
    plant: () => ({
      statements: {
        'read sticky events owed': (right) => (call, values) => {
          const [id, , limit] = values as readonly unknown[]
          const rows = right(call, [id, 0, limit] as unknown as readonly never[]) as object[]
          return rows.map((row) => ({ ...row, expires_at: Infinity }))
        },
      },
    }),
    seed: 2,
    breaks: /I7/,
  },
  {
    bug: 'a cursor by sequence with late commits',
    how: 'positions are drawn from a sequence, without the lock that lets them commit in their order',
    plant: () => {
      let drawn = 0
      return {
        statements: {
          lock: (right) => (call, values) => (Number(values[0]) === 0x6c696d71 ? [{}] : right(call, values)),
          'read the head to append': (right) => (call, values) => {
            const head = Math.max(drawn, headOf(call.t))
            drawn = head + 40
            return (right(call, values) as object[]).map((row) => ({ ...row, head }))
          },
          // The row's lock would do what the other one did.
          'move the head': (right) => (call, values) => {
            const head = Math.max(Number(values[0]), headOf(call.t))
            return right(call, [head, ...values.slice(1)] as unknown as readonly never[])
          },
        },
      }
    },
    seed: 2,
    breaks: /passes only what was sent|I5|I6|stream order/,
  },
  {
    bug: 'memberships read after events',
    how: 'the timeline asks who is in the room when it is read, not at the event’s position',
    seed: 2,
    plant: () => ({
      statements: {
        'read the timeline': on((call) => ({
          call: {
            ...call,
            rules: { ...call.rules, memberAt: (t, { room }, destination) => inRoomNow(t, destination, room) },
          },
        })),
      },
    }),
    breaks: /passes only what was sent|I6|I5|catch-up where it is due/,
  },
  {
    bug: 'a stale lease that still writes',
    how: 'no statement asks for the fence or whether the lease is over',
    plant: () => ({ rules: { holds: (_, d) => d !== undefined } }),
    seed: 4,
    breaks: /I8|I2|I3|I4|I6|behind our position|stream order|backoff/,
  },
  {
    bug: 'a burst that opens a gap for a healthy destination',
    how: 'the age of the oldest event is not asked for',
    plant: () => ({}),
    options: { catchUp: { ...SETTINGS.catchUp, min_age_ms: -1 } },
    breaks: /no gap without need/,
  },
  {
    bug: 'an acknowledgement lost behind a later freeze',
    how: 'a freeze takes the place of the answered transaction, and the position moves only with the last answer of a row',
    plant: () => ({
      statements: {
        'acknowledge and freeze': (right) => (call, values) => {
          const input = values as unknown as BeginInput
          const before = input[0].map((id) => call.t.destinations.get(id)?.position ?? 0)
          const result = right(call, values)
          for (const [i, id] of input[0].entries()) {
            const { answered, txnId } = beginningOf(input, i)
            const open = call.t.open_transactions.get(id)
            if (answered === null || open?.txn_id !== txnId) continue
            const position = before[i] ?? 0
            call.t.destinations.change(id, { position })
            call.t.open_transactions.put(id, { ...open, from_pos: position } satisfies OpenRow)
          }
          return result
        },
      },
    }),
    seed: 23,
    breaks: /I8|stream order|I4/,
  },
  {
    bug: 'a rejoin between the lanes',
    how: 'what an answer listed before a rejoin is not replayed after it',
    plant: () => ({ rules: { listedSince: (replay) => replay?.state === 'sent' } }),
    seed: 35,
    breaks: /I8|the replay/,
  },
  {
    bug: 'a redacted text sent from the ring',
    how: 'a holder that follows the log freezes what it has in memory, and nothing asks for redactions since it was read',
    plant: () => ({ statements: { 'acknowledge and freeze': forTheFollowed(withoutChanges) } }),
    seed: 3,
    breaks: /I12/,
  },
  {
    bug: 'a timeline sticky event unlisted in the answer',
    how: 'only replays that an answer does not list are noted to be sent again',
    plant: () => ({
      statements: {
        'note what is not listed': on(({ t }, [id, positions, ...rest]) => {
          const mine = t.attempts.all().filter(({ destination }) => destination === id)
          const last = mine.sort((a, b) => b.seq - a.seq)[0]
          const laneOf = (pos: number) => last?.lanes[last.positions.indexOf(pos)]
          return { values: [id, (positions as number[]).filter((pos) => laneOf(pos) === 's'), ...rest] }
        }),
      },
    }),
    breaks: /not listed is repeated/,
  },
  // Beyond what was asked for.
  {
    bug: 'a wish lost with a result',
    how: 'what an operator asks while a request is under way is overwritten by its result',
    plant: () => ({
      statements: {
        'end the attempt': then<[string]>(({ t }, [json]) => {
          for (const { destination } of JSON.parse(json) as ResultInput[]) {
            t.destinations.change(destination, { asked_at: null })
          }
        }),
      },
    }),
    seed: 3,
    breaks: /try now/,
  },
  {
    bug: 'a full lane of replays that acknowledges more than it sends',
    how: 'a sticky cursor moves to the end of its row',
    plant: () => ({
      statements: {
        'move sticky cursors': on(({ t }, [id, room, upto]) => ({
          values: [id, room, upto, upto ?? headOf(t)],
        })),
      },
    }),
    breaks: /sticky event|I8/,
  },
  {
    bug: 'a follower that counts what it has not sent',
    how: 'an answer moves the position to the end of what was read, not of what was sent',
    plant: () => ({
      statements: {
        'acknowledge and freeze': forTheFollowed(
          on(({ t }, values) => {
            const [...input] = values as unknown as BeginInput
            input[17] = input[17].map((to) => (to === null ? to : headOf(t)))
            return { values: input }
          }),
        ),
      },
    }),
    seed: 2,
    breaks: /passes only what was sent|I6/,
  },
  // Two reads that were one decision, and what was so when planned and is not asked at the freeze.
  {
    bug: 'a gap closes with rooms left',
    how: 'what a gap still owes is looked up in one read and its texts in another, fewer texts than places mean that this is all, and nothing asks whether a room was forgotten in between',
    plant: () => {
      let then: Pick<Tables, 'events' | 'kept_events' | 'memberships'> | null = null
      return {
        statements: {
          'look at the destination': (right) => (call, values) => {
            const { events, kept_events, memberships } = call.t
            const as = <R>(table: Table<R>): Table<R> => {
              const rows = table.all()
              return { ...table, all: () => rows }
            }
            const stood = new Map([...kept_events.all(), ...events.all()].map((row) => [row.pos, row]))
            then = {
              events: { ...as(events), get: (pos) => stood.get(Number(pos)) },
              kept_events: as(kept_events),
              memberships: as(memberships),
            }
            return right(call, values)
          },
          'read the rooms of the gap': (right) => (call, values) => {
            const { events, kept_events } = call.t
            const found = right({ ...call, t: { ...call.t, ...then } }, values) as { pos: number }[]
            return found.filter(
              ({ pos }) => events.get(pos) !== undefined || kept_events.get(pos) !== undefined,
            )
          },
          'move the position on': withoutChanges,
        },
      }
    },
    breaks: /passes only what was sent|I6/,
  },
  {
    bug: 'a replay goes to a server that left meanwhile',
    how: 'a freeze does not ask whether anything was taken away from the destination since the look',
    seed: 13,
    plant: () => ({
      statements: {
        'acknowledge and freeze': on(({ t }, values) => ({
          values: withNarrowed(values, (id) => t.destinations.get(id)),
        })),
      },
    }),
    breaks: /a server that is not in the room/,
  },
  {
    bug: 'something new is frozen after pause',
    how: 'a freeze does not ask whether the destination was paused since the look',
    seed: 72,
    plant: () => ({
      statements: {
        'acknowledge and freeze': on((call, values) => {
          const { destinations } = call.t
          if (beginningOf(values as unknown as BeginInput, 0).again !== null) return {}
          const paused = (id: number) => {
            const d = destinations.get(id)
            return d?.paused === true ? d : undefined
          }
          const unpaused = (id: string | number) => {
            const d = destinations.get(id)
            return d === undefined ? undefined : { ...d, paused: false }
          }
          const t = { ...call.t, destinations: { ...destinations, get: unpaused } }
          return { call: { ...call, t }, values: withNarrowed(values, paused) }
        }),
      },
    }),
    breaks: /paused/,
  },
  {
    bug: 'a taker that waited takes from a living holder',
    how: 'a taker that had to wait for the row judges its owner by the leases as they were before it waited',
    plant: () => {
      // By transaction.
      const before = new WeakMap<Tables, Map<string, Schema['workers']>>()
      return {
        statements: {
          'take the destination': (right) => (call, values) => {
            const { t } = call
            const then = before.get(t) ?? new Map(t.workers.all().map((row) => [row.id, row]))
            before.set(t, then)
            const get = (id: string | number) => then.get(String(id))
            // Where it must wait this throws, and the statement runs once more.
            const result = right({ ...call, t: { ...t, workers: { ...t.workers, get } } }, values)
            before.delete(t)
            return result
          },
        },
      }
    },
    breaks: /who holds it keeps it/,
  },
  {
    bug: 'after a failover a followed destination misses what stands there now',
    how: 'a lease outlives the server that gave it, and who reads the log on does not ask what stands where it begins',
    plant: () => {
      // Where a read ended, and what stood there: the next one is told the same, whatever stands there by then.
      const ends = new Map<number, LogRow | null>()
      return {
        rules: {
          holds: (t, d, worker, fence, now) =>
            d?.lease_owner === worker && d.fence === fence && lives(t, worker, now),
        },
        statements: {
          'renew a worker': outlived,
          'take the destination': outlived,
          'follow the log': (right) => (call, values) => {
            const [after, limit] = values as unknown as [number, number]
            const rows = right(call, values) as LogRow[]
            const entries = rows.filter(({ pos }) => pos !== null && pos > after)
            const stands = rows.find(({ pos }) => pos !== null && pos <= after) ?? null
            const place = ends.has(after) ? (ends.get(after) ?? null) : stands
            const end = entries.at(-1) ?? place
            ends.set(entries.length >= limit ? (end?.pos ?? after) : headOf(call.t), end)
            if (place === null)
              return entries.length > 0 ? entries : rows.map((row) => ({ ...row, pos: null }))
            return [{ ...place, head: headOf(call.t) }, ...entries]
          },
        },
      }
    },
    seed: 8,
    breaks: /passes only what was sent|I6/,
  },
  {
    bug: 'an unanswered transaction loses its text to retention',
    how: 'what is too old, or needed no longer, is dropped as it was read before, whatever was frozen since',
    plant: () => {
      const whateverIsOpen = on((call) => ({
        call: {
          ...call,
          t: { ...call.t, open_transactions: { ...call.t.open_transactions, all: () => [] } },
        },
      }))
      return { statements: { 'give up': whateverIsOpen, 'keep no longer': whateverIsOpen } }
    },
    breaks: /I3/,
  },
  {
    bug: 'a clock ahead for one look takes the log',
    how: 'the log is as old as the clock says that its newest event is',
    plant: () => ({
      statements: {
        'how far is the log old': () => (call, values) => {
          const [eventsMs] = values as unknown as [number]
          const young = eventsBetween(call.t, 0, headOf(call.t)).find(
            ({ received_ts }) => received_ts >= call.now - eventsMs,
          )
          const sticky = call.t.sticky.all().filter(({ expires_at }) => expires_at > call.now - 600_000)
          return [
            {
              upto: Math.min(
                ...[...sticky, ...(young ? [young] : [])].map(({ pos }) => pos - 1),
                headOf(call.t),
              ),
            },
          ]
        },
      },
    }),
    breaks: /the log is kept/,
  },
  {
    bug: 'what came while the clock was behind goes when it is set right',
    how: 'what is kept is given up by the time at which it was received',
    plant: () => ({
      statements: {
        'what is too old to be kept': () => (call, values) => {
          const [positions, age] = values as unknown as [number[], number]
          return positions
            .filter((pos) => (call.t.kept_events.get(pos)?.received_ts ?? Infinity) < call.now - age)
            .map((pos) => ({ pos }))
        },
      },
    }),
    seed: 32,
    breaks: /what is owed is kept/,
  },
  {
    bug: 'somebody connects to a server that is owed nothing',
    how: 'what is owed is found even where nothing is',
    plant: () => ({
      statements: {
        'count the timeline': (right) => (call, values) => {
          const found = right(call, values)
          return Array.isArray(found) && found.length === 0 ? [{ pos: 1 }] : found
        },
      },
    }),
    breaks: /owed nothing is left alone/,
  },
  {
    bug: 'a server that is not there is asked again and again',
    how: 'an attempt without a transaction is written down without a time for the next',
    seed: 12,
    plant: () => ({
      statements: {
        'end the attempt': (right) => (call, values) => {
          const [json] = values as unknown as [string]
          const all = JSON.parse(json) as ResultInput[]
          for (const one of all) if (one.txnId === null) one.waiting = { ...one.waiting, retryAt: null }
          return right(call, [JSON.stringify(all)] as never)
        },
      },
    }),
    breaks: /never comes to rest/,
  },
  {
    bug: 'a 503 that asks for time is not heeded',
    how: 'only what a 429 or a 410 asks for is written down',
    plant: () => ({
      statements: {
        'end the attempt': (right) => (call, values) => {
          const [json] = values as unknown as [string]
          const all = JSON.parse(json) as ResultInput[]
          for (const one of all)
            if (one.status === 503) one.waiting = { ...one.waiting, holdKind: null, holdUntil: null }
          return right(call, [JSON.stringify(all)] as never)
        },
      },
    }),
    seed: 13,
    breaks: /backoff \(5\.8\)/,
  },
  {
    bug: 'a dead server is tried as often as before',
    how: 'whoever has failed for long waits for no more than the longest backoff',
    plant: () => ({
      statements: {
        'end the attempt': (right) => (call, values) => {
          const [json] = values as unknown as [string]
          const all = JSON.parse(json) as ResultInput[]
          const most = SETTINGS.backoff.max_ms
          for (const one of all) {
            const { waiting, startedAt } = one as Partial<ResultInput>
            if (waiting === undefined || (waiting.retryInterval ?? 0) <= most) continue
            one.waiting = { ...waiting, retryAt: (startedAt ?? 0) + most, retryInterval: most }
          }
          return right(call, [JSON.stringify(all)] as never)
        },
      },
    }),
    breaks: /backoff \(5\.8\)/,
  },
  ...LAPSING_BUGS,
  ...UPLINK_BUGS,
  ...ERASING_BUGS,
  ...ODD_BUGS,
  ...ISOLATING_BUGS,
  ...REPEAT_BUGS,
  ...CUTTING_BUGS,
  ...EDU_BUGS,
  ...REFUSED_EDU_BUGS,
  // A room's whole list, and a source that goes by what it told.
  {
    bug: 'a set takes away whom it keeps',
    how: 'nobody asks whom a list keeps',
    plant: () => ({}),
    options: { misread: readingSets((set) => ({ set, keep: [] })) },
    breaks: /I6|passes only what was sent/,
  },
  {
    bug: 'a set adds whom it keeps',
    how: 'whom a list keeps is read as one of the list',
    plant: () => ({}),
    options: { misread: readingSets((set, keep) => ({ set: [...set, ...keep], keep: [] })) },
    breaks: /I5|a server that is not in the room|no gap without need/,
  },
  {
    bug: 'an event goes by a list that is not known any more',
    how: 'nobody asks whether the rooms are known that a request goes by',
    plant: () => ({}),
    options: { misread: (given) => ({ ...given, onlyKnownRooms: false }) },
    breaks: /a list that is not known is told again/,
  },
  {
    bug: 'a purge leaves its room known',
    how: 'a room whose list was purged is known as before',
    plant: () => ({
      statements: {
        'forget the rooms': then<[number[]]>(({ t }, [rooms]) => {
          for (const room of rooms) t.rooms.change(room, { known: true })
        }),
      },
    }),
    breaks: /a list that is not known is told again/,
  },
  {
    bug: 'one that is looked for still counts as served',
    how: 'it is let go until it is found, and its position is moved to the head',
    plant: () => ({
      statements: {
        'let go': then<[number[], unknown, unknown, (number | null)[]]>(({ t }, [ids, , , lookAts]) => {
          for (const [i, id] of ids.entries()) {
            const d = t.destinations.get(id)
            if (lookAts[i] != null && d?.retry_at === null && d.hold_until === null)
              t.destinations.change(id, { position: headOf(t) })
          }
        }),
      },
    }),
    breaks: /I6|passes only what was sent/,
  },
  {
    bug: 'a block that forgets what is owed',
    how: 'whom an operator blocks is put aside for good: its position is moved to the head',
    seed: 2,
    plant: () => ({
      statements: {
        'put aside who is blocked': then<[readonly string[]]>(({ t }, [names]) => {
          for (const { id, name } of t.destinations.all())
            if (names.includes(name)) t.destinations.change(id, { position: headOf(t) })
        }),
      },
    }),
    drawn: schedulesWithBlocks,
    breaks: /passes only what was sent|I6/,
  },
  {
    bug: 'a block that one process does not hear of',
    how: 'of each list with a block only the first process that asks is told',
    plant: () => {
      const told = new Set<string>()
      return {
        statements: {
          'read the blocks': (right) => (call, values) => {
            const [known] = values as unknown as [string | null]
            const rows = right(call, values)
            const version = call.t.block_list.get(1)?.version ?? ''
            const isEmpty = call.t.blocks.all().length === 0
            if (isEmpty || known === null || known === version || !told.has(version)) {
              if (known !== null) told.add(version)
              return rows
            }
            return [{ version: known, glob: null, reason: null, who: null, at: null }]
          },
        },
      }
    },
    drawn: schedulesWithBlocks,
    breaks: /who is blocked is left alone/,
  },
  {
    bug: 'a block that cuts nothing off',
    how: 'what is under way when a destination is blocked goes on to its end: a request waits for its connection, and is then sent',
    plant: () => ({}),
    options: { whenBlocked: () => () => undefined },
    drawn: schedulesWithBlocks,
    breaks: /who is blocked is left alone/,
  },
  // An operator gives up what is owed up to now.
  {
    bug: 'a skip that passes what came after it',
    how: 'a skip moves the position to the head, not to where the head was when the operator asked',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const result = right(call, values)
          const [, , id] = values as unknown as [string, number, number]
          if (Array.isArray(result) && result.length > 0 && openGapOf(call.t, id) === undefined)
            call.t.destinations.change(id, { position: headOf(call.t) })
          return result
        },
      },
    }),
    breaks: /passes only what was sent|I6/,
  },
  {
    bug: 'a skip while a request is under way ends the transaction',
    how: 'the operator’s wish itself ends what is unanswered, whatever its holder does at that moment',
    plant: () => ({
      statements: {
        'wish to skip': then<[string]>(({ t }, [name]) => {
          const d = t.destinations.all().find((one) => one.name === name)
          if (d !== undefined && t.open_transactions.get(d.id) !== undefined) t.open_transactions.delete(d.id)
        }),
      },
    }),
    breaks: /I3|I2/,
  },
  {
    bug: 'a skip takes what a later join is owed',
    how: 'a skip ends all sticky replays, also those of a join that came after the operator asked',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const result = right(call, values)
          const [, , id] = values as unknown as [string, number, number]
          if (Array.isArray(result) && result.length > 0)
            for (const { destination, room } of call.t.sticky_owed.all())
              if (destination === id) call.t.sticky_owed.delete(keyOf.owed(id, room))
          return result
        },
      },
    }),
    seed: 7,
    breaks: /sticky event|I8|replay \d+ has to wait/,
  },
  {
    bug: 'what was given up is sent all the same',
    how: 'a skip leaves a gap open, with its rooms and its sticky lane',
    plant: () => ({
      statements: {
        'skip what is owed': (right) => (call, values) => {
          const [, , id, upto] = values as unknown as [string, number, number, number]
          const gap = openGapOf(call.t, id)
          const lane = call.t.sticky_owed.get(keyOf.owed(id, null))
          const result = right(call, values)
          if (!Array.isArray(result) || result.length === 0 || gap === undefined || gap.to_pos > upto)
            return result
          call.t.gaps.change(gap.id, { closed_at: null })
          if (lane !== undefined) call.t.sticky_owed.put(keyOf.owed(id, null), lane)
          return result
        },
      },
    }),
    seed: 11,
    breaks: /skipped by an operator|I4/,
  },
]
