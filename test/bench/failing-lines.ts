/** What the table says of ingest beside failing servers that are owed sticky events. */
import type { FailingMembers } from './failing-members.ts'
import { below, whole, type Line } from './line.ts'

export function failingLines(queue: string, failing: FailingMembers): Line[] {
  const { members, stickies, without, worstSticky, tries } = failing
  const beside = failing.with
  const ms = (figure: number) => figure.toFixed(1)
  return [
    {
      what: `ingest, p99, sticky events for ${whole(members)} failing, ${queue}`,
      figure: `${ms(beside.p99)} ms`,
      aim: below(100, ' ms', beside.p99),
      note: `without them ${ms(without.p99)}; medians ${ms(beside.median)} and ${ms(without.median)}, the worst ${ms(beside.worst)} and ${ms(without.worst)}`,
    },
    {
      what: '  tries that they brought forward',
      figure: whole(tries),
      note: `${stickies} sticky events, the slowest answered in ${ms(worstSticky)} ms`,
    },
  ]
}
