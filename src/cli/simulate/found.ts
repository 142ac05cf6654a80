/**
 * By which step of server discovery was each server found? Asked of limpet when the story has ended, and compared with what the fleet's
 * names were made for.
 */
import type { DiscoveryReport } from '../../discovery/report.ts'
import { kindOfWay, wayTo } from '../../simulate/names/ways.ts'
import type { WayKind } from '../../simulate/names/ways.ts'

/** The last step for each server, by its index; null: none led to it. */
export type FoundSteps = readonly DiscoveryReport['step'][]

export async function askSteps(
  get: (path: string) => Promise<unknown>,
  servers: readonly string[],
): Promise<FoundSteps> {
  const steps: DiscoveryReport['step'][] = []
  for (const server of servers) {
    const path = `/v1/destinations/${encodeURIComponent(server)}/discovery`
    const { step, error } = (await get(path)) as DiscoveryReport
    steps.push(error === null ? step : null)
  }
  return steps
}

/** Servers that were found in another way than they should, in words. */
export function wrongSteps(steps: FoundSteps, servers: readonly string[]): string[] {
  return steps.flatMap((step, index) => {
    const { way } = wayTo(index)
    return step === way ? [] : [`${servers[index]}: found by ${stepText(step)}, not by step ${way}`]
  })
}

const stepText = (step: FoundSteps[number]) => (step === null ? 'no step' : `step ${step}`)

/** How many servers were found by which step. */
export function countSteps(steps: FoundSteps): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const step of steps) counts[step ?? 'none'] = (counts[step ?? 'none'] ?? 0) + 1
  return counts
}

const KINDS: readonly (readonly [WayKind, string])[] = [
  ['.well-known', 'by .well-known'],
  ['SRV', 'by SRV records'],
  ['usual port', 'by the usual port'],
  ['name with a port', 'by a name with a port'],
  ['address', 'by an address'],
]

/** In one sentence. */
export function foundText(steps: FoundSteps): string {
  const found = steps.filter((step) => step !== null)
  const parts = KINDS.flatMap(([kind, words]) => {
    const counts = countSteps(found.filter((step) => kindOfStep(step) === kind))
    const sum = Object.values(counts).reduce((total, count) => total + count, 0)
    const each = Object.keys(counts).sort()
    return sum === 0 ? [] : [`${sum} ${words} (${each.length === 1 ? 'step' : 'steps'} ${each.join(', ')})`]
  })
  const lost = steps.length - found.length
  return `Found: ${[...parts, ...(lost === 0 ? [] : [`${lost} not at all`])].join('; ')}.`
}

const kindOfStep = (step: NonNullable<FoundSteps[number]>): WayKind =>
  step === '3' ? '.well-known' : kindOfWay(step)
