/** `store/delivery/edus-apart.ts`: durable EDUs that are out of their lane. */
import type { Isolation } from '../../../../src/store/isolation.ts'
import { keyOf, type EduApartRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import { held } from './leases.ts'

const of = ({ t }: Call, id: number): EduApartRow[] =>
  t.edus_apart.all().filter(({ destination }) => destination === id)

/** Changes those of a destination that are meant. */
function change(
  call: Call,
  id: number,
  isMeant: (row: EduApartRow) => boolean,
  over: (row: EduApartRow) => Partial<EduApartRow>,
): number {
  const those = of(call, id).filter(isMeant)
  for (const row of those) call.t.edus_apart.change(keyOf.eduApart(id, row.pos), over(row))
  return those.length
}

/** Worker, fence, destination, the transaction, both cursors, the EDU (null: it is not durable), whether it is set aside, now, when it is tried, what was answered. */
export type TakeOut = [
  ...[worker: string, fence: number, id: number, txnId: string, durable: number, ephemeral: number],
  ...[pos: number | null, sure: boolean, now: number, nextAt: number],
  ...[status: number | null, message: string],
]

export const EDUS_APART = {
  'is an EDU durable': twin<[number]>(({ t }, pos) => {
    const edu = t.edus.get(pos)
    return edu === undefined ? [] : [{ durable: edu.durable }]
  }),
  'read EDUs that are apart': twin<[number, number]>((call, id, limit) =>
    of(call, id)
      .sort((a, b) => a.next_at - b.next_at || a.pos - b.pos)
      .slice(0, limit)
      .map(({ pos, sure, tries, next_at }, i) => {
        const edu = call.t.edus.get(pos)
        return {
          ...{ pos, sure, tries, next_at, type: edu?.type ?? null, received_ts: edu?.received_ts ?? null },
          ...{ expires_at: edu?.expires_at ?? null, alone: edu?.alone ?? null, key: edu?.key ?? null },
          ...{ who: edu?.who ?? null, content: i === 0 ? (edu?.content ?? null) : null },
        }
      }),
  ),
  'how often was an EDU tried': twin<[number, number]>(({ t }, id, pos) => {
    const row = t.edus_apart.get(keyOf.eduApart(id, pos))
    return row === undefined ? [] : [{ tries: row.tries }]
  }),
  'how many EDUs are apart in doubt': twin<[number]>((call, id) => [
    { n: of(call, id).filter(({ sure }) => !sure).length },
  ]),
  'take an EDU out of its lane': twin<TakeOut>(
    (call, worker, fence, id, txnId, durable, ephemeral, ...its) => {
      const [pos, sure, since, next_at, status, message] = its
      const { t } = call
      const d = held(call, worker, fence, id)
      const open = t.open_transactions.get(id)
      if (d === null || open?.txn_id !== txnId || open.void) return [{ n: 0 }]
      t.open_transactions.delete(id)
      t.destinations.change(id, {
        durable_pos: Math.max(d.durable_pos, durable),
        ephemeral_pos: Math.max(d.ephemeral_pos, ephemeral),
      })
      const key = keyOf.eduApart(id, pos ?? 0)
      if (pos !== null && t.edus_apart.get(key) === undefined)
        t.edus_apart.put(key, { destination: id, pos, since, sure, tries: 0, next_at, status, message })
      return [{ n: 1 }]
    },
  ),
  'note that an EDU is refused': twin<[number, number, number, number | null, string]>(
    (call, id, its, next_at, status, message) =>
      change(
        call,
        id,
        ({ pos }) => pos === its,
        ({ tries }) => ({ tries: tries + 1, next_at, status, message }),
      ),
  ),
  'EDUs are apart no more': twin<[number, number[]]>((call, id, positions) => {
    const those = of(call, id).filter(({ pos }) => positions.includes(pos))
    for (const { pos } of those) call.t.edus_apart.delete(keyOf.eduApart(id, pos))
    return those.length
  }),
  'EDUs are set aside for good': twin<[number]>((call, id) =>
    change(
      call,
      id,
      ({ sure }) => !sure,
      () => ({ sure: true }),
    ),
  ),
  'EDUs that are apart are due': twin<[number, number]>((call, id, at) =>
    change(
      call,
      id,
      ({ next_at }) => next_at > at,
      () => ({ next_at: at }),
    ),
  ),
  'no EDU is apart any more': twin<[string, number, number, string | null]>(
    (call, worker, fence, id, json) => {
      if (held(call, worker, fence, id) === null || of(call, id).length > 0) return 0
      const isolation = json === null ? null : (JSON.parse(json) as Isolation)
      call.t.destinations.change(id, { isolation })
      return 1
    },
  ),
} satisfies Twins
