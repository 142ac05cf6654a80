/** What `limpet simulate` says of EDUs at the end: counts over all servers, and what is wrong. */
import type { EduVerdict } from '../../simulate/verdict/edus.ts'

export type EduTotals = Readonly<
  Record<
    | 'owed'
    | 'received'
    | 'leftOut'
    | 'pending'
    | 'missing'
    | 'notEntitled'
    | 'stale'
    | 'repeats'
    | 'resyncs'
    | 'faults',
    number
  >
>

/** Null: no EDUs were in the traffic. */
export function eduTotals(verdicts: readonly EduVerdict[]): EduTotals | null {
  if (verdicts.length === 0) return null
  const sum = (of: (one: EduVerdict) => number) => verdicts.reduce((total, one) => total + of(one), 0)
  return {
    owed: sum(({ owed }) => owed),
    received: sum(({ received }) => received),
    leftOut: sum(({ leftOut }) => leftOut),
    pending: sum(({ pending }) => pending),
    missing: sum(({ missing }) => missing.length),
    notEntitled: sum(({ notEntitled }) => notEntitled.length),
    stale: sum(({ stale }) => stale.length),
    repeats: sum(({ repeats }) => repeats),
    resyncs: sum(({ resyncs }) => resyncs),
    faults: sum(({ faults }) => faults.length),
  }
}

/** In words, a line each. */
export function eduFaults(verdicts: readonly EduVerdict[]): string[] {
  return verdicts.flatMap(({ server, missing, notEntitled, stale, faults }) => [
    ...missing.map((name) => `${server}: EDU ${name} is missing`),
    ...notEntitled.map((name) => `${server}: received EDU ${name} without being entitled to it`),
    ...stale.map((name) => `${server}: EDU ${name} is the newest of its kind, and did not come`),
    ...faults.map((fault) => `${server}: ${fault}`),
  ])
}

export function textOfEdus({ owed, received, leftOut, pending, resyncs }: EduTotals): string {
  const count = (value: number) => value.toLocaleString('en-US')
  const left =
    leftOut === 0
      ? ''
      : `, ${count(leftOut)} left out as the last of many is enough (${count(resyncs)} resyncs)`
  return `EDUs: ${count(owed)} durable ones owed: ${count(received)} received${left}, ${count(pending)} pending for the dead one.`
}
