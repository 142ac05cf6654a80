/** `store/delivery/edus-apart.ts`: EDUs that are out of their lane, as the destination refuses them. */
import type { Isolation } from '../../../../src/store/isolation.ts'
import { keyOf, type EduApartRow } from '../rows.ts'
import { twin, type Call, type Twins } from '../statement.ts'
import { held } from './leases.ts'

type TakeOut = [
  ...[worker: string, fence: number, id: number, txnId: string, durable: number, ephemeral: number],
  ...[pos: number | null, sure: boolean, now: number, nextAt: number, status: number | null, message: string],
]

const ofDestination = ({ t }: Call, id: number): EduApartRow[] =>
  t.edus_apart.all().filter(({ destination }) => destination === id)

export const EDUS_APART = {
  'is an EDU durable': twin<[number]>(({ t }, pos) => {
    const edu = t.edus.get(pos)
    return edu === undefined ? [] : [{ durable: edu.durable }]
  }),
  'read EDUs that are apart': twin<[number, number]>((call, id, most) =>
    ofDestination(call, id)
      .sort((a, b) => a.next_at - b.next_at || a.pos - b.pos)
      .slice(0, most)
      .map(({ pos, sure, tries, next_at }, index) => {
        const edu = call.t.edus.get(pos)
        const {
          type = null,
          received_ts = null,
          expires_at = null,
          alone = null,
          key = null,
          who = null,
        } = edu ?? {}
        const content = index === 0 ? (edu?.content ?? null) : null
        return { ...{ pos, sure, tries, next_at, type, received_ts, expires_at, alone, key, who }, content }
      }),
  ),
  'take an EDU out of its lane': twin<TakeOut>((call, ...values) => {
    const [worker, fence, id, txnId, durable, ephemeral, pos, sure, now, nextAt, status, message] = values
    const { t } = call
    const d = held(call, worker, fence, id)
    const open = t.open_transactions.get(id)
    if (d === null || open?.txn_id !== txnId || open.void) return [{ n: 0 }]
    t.open_transactions.delete(id)
    t.destinations.change(id, {
      durable_pos: Math.max(d.durable_pos, durable),
      ephemeral_pos: Math.max(d.ephemeral_pos, ephemeral),
    })
    if (pos !== null && t.edus_apart.get(keyOf.apart(id, pos)) === undefined)
      t.edus_apart.put(keyOf.apart(id, pos), {
        ...{ destination: id, pos, since: now, sure, tries: 0, next_at: nextAt, status, message },
      })
    return [{ n: 1 }]
  }),
  'note a refused EDU': twin<[number, number, number, number | null, string]>(
    ({ t }, id, pos, nextAt, status, message) => {
      const key = keyOf.apart(id, pos)
      const row = t.edus_apart.get(key)
      if (row === undefined) return 0
      t.edus_apart.put(key, { ...row, tries: row.tries + 1, next_at: nextAt, status, message })
      return 1
    },
  ),
  'EDUs are apart no more': twin<[number, number[]]>((call, id, positions) => {
    const those = ofDestination(call, id).filter(({ pos }) => positions.includes(pos))
    for (const { pos } of those) call.t.edus_apart.delete(keyOf.apart(id, pos))
    return those.length
  }),
  'EDUs are set aside for good': twin<[number]>((call, id) => {
    const those = ofDestination(call, id).filter(({ sure }) => !sure)
    for (const one of those) call.t.edus_apart.put(keyOf.apart(id, one.pos), { ...one, sure: true })
    return those.length
  }),
  'EDUs that are apart are due': twin<[number, number]>((call, id, now) => {
    const those = ofDestination(call, id).filter(({ next_at }) => next_at > now)
    for (const one of those) call.t.edus_apart.put(keyOf.apart(id, one.pos), { ...one, next_at: now })
    return those.length
  }),
  'no EDU is apart any more': twin<[string, number, number, string | null]>(
    (call, worker, fence, id, isolation) => {
      if (held(call, worker, fence, id) === null || ofDestination(call, id).length > 0) return 0
      call.t.destinations.change(id, {
        isolation: isolation === null ? null : (JSON.parse(isolation) as Isolation),
      })
      return 1
    },
  ),
} satisfies Twins
