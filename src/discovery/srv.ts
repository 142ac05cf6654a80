/**
 * In which order are the targets of SRV records tried?
 *
 * RFC 2782: the lowest priority first; among equals at random, each as often as its weight says. All targets stay in
 * the list, so that the next one is there when the first does not answer. The Matrix specification says nothing of
 * either, so the RFC holds (its "Usage rules").
 */
import type { Random } from '../pace/clock.ts'
import { parseHost } from './host.ts'
import type { Host } from './host.ts'
import type { LookedUp, ServiceRecord } from './lookups.ts'

export interface Service {
  readonly host: Host
  readonly port: number
}

export type Services =
  /** At least one. */
  | { readonly kind: 'offered'; readonly services: readonly Service[] }
  /** The target `.`: the domain says that it has no such service (RFC 2782). */
  | { readonly kind: 'refused' }
  /** Records are there, and none of them names a host and a port. */
  | { readonly kind: 'unusable' }

/** More targets than this are not tried: a name server could send thousands. */
export const MOST_SERVICES = 8

/** More records than this are not remembered; it leaves some for chance to choose from. */
const MOST_REMEMBERED = 32

/** What is remembered of a lookup: the records of the best priorities, and nothing else that came with them. */
export function bestServices(answer: LookedUp<ServiceRecord>): LookedUp<ServiceRecord> {
  if (answer.kind !== 'found') return answer
  const best = [...answer.records]
    .sort((one, other) => one.priority - other.priority || inText(one, other))
    .slice(0, MOST_REMEMBERED)
  const records = best.map(({ priority, weight, port, target }) => ({ priority, weight, port, target }))
  return { ...answer, records }
}

/** Name servers give records in another order each time: so of too many the same ones are remembered. */
function inText(one: ServiceRecord, other: ServiceRecord): number {
  const [text, otherText] = [one, other].map(({ target, port }) => `${target.toLowerCase()} ${port}`) as [
    string,
    string,
  ]
  return text < otherText ? -1 : text > otherText ? 1 : 0
}

/** All places that the records name. */
export function allServices(records: readonly ServiceRecord[]): Service[] {
  return usableOf(records).map(({ host, port }) => ({ host, port }))
}

const usableOf = (records: readonly ServiceRecord[]) =>
  records.flatMap((record) => {
    const host = isNowhere(record) ? null : parseHost(record.target)
    return host === null || !isPort(record.port) ? [] : [{ ...record, host }]
  })

export function orderServices(records: readonly ServiceRecord[], random: Random): Services {
  const usable = usableOf(records)
  if (usable.length === 0) return { kind: records.some(isNowhere) ? 'refused' : 'unusable' }
  const byPriority = new Map<number, typeof usable>()
  for (const record of usable) {
    const group = byPriority.get(record.priority)
    if (group === undefined) byPriority.set(record.priority, [record])
    else group.push(record)
  }
  const services: Service[] = []
  for (const [, group] of [...byPriority].sort(([one], [other]) => one - other)) {
    for (const { host, port } of byWeight(group, MOST_SERVICES - services.length, random)) {
      services.push({ host, port })
    }
    if (services.length >= MOST_SERVICES) break
  }
  return { kind: 'offered', services }
}

const isNowhere = ({ target }: ServiceRecord) => target === '.' || target === ''
const isPort = (port: number) => Number.isInteger(port) && port > 0 && port <= 65535

/**
 * RFC 2782, "Weight": with those of weight 0 in front, a whole number from 0 to the sum of all weights is drawn, and
 * the first record is taken at which the running sum reaches it; then so with the rest. So one of weight 0 has a very
 * small chance beside others. Where all have weight 0 each is as likely as the others.
 */
function byWeight<R extends { weight: number }>(records: readonly R[], most: number, random: Random): R[] {
  const left = [
    ...shuffled(
      records.filter(({ weight }) => weight === 0),
      random,
    ),
    ...records.filter(({ weight }) => weight !== 0),
  ]
  const ordered: R[] = []
  while (left.length > 0 && ordered.length < most) {
    const sum = left.reduce((total, { weight }) => total + weight, 0)
    let rest = Math.floor(random() * (sum + 1))
    const index = left.findIndex(({ weight }) => (rest -= weight) <= 0)
    ordered.push(...left.splice(Math.max(index, 0), 1))
  }
  return ordered
}

/** Fisher and Yates. */
function shuffled<R>(records: readonly R[], random: Random): R[] {
  const order = [...records]
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const one = order[i] as R
    order[i] = order[j] as R
    order[j] = one
  }
  return order
}
