/**
 * A gate (`gate.ts`) of which those that are slow or failing have a share: at most so many at once, and of these at most so many of the part
 * `recovering`. What is left is there for those that are quick, whatever becomes of the others.
 *
 * Who waits goes in in the order of arrival; one whose share is used up is overtaken by those of the other part.
 */
import type { Leave } from './gate.ts'

export type Part = 'quick' | 'recovering'

export interface PartLimits {
  /** Of both parts. */
  all: number
  /** Of these, at most so many of the part `recovering`. */
  recovering: number
}

export interface PartGate {
  /** A place at once, or null. */
  take(part: Part): Leave | null
  /** Waits for a place; null where `signal` ended the wait. Call the result once, to give the place up. */
  enter(part: Part, signal?: AbortSignal): Promise<Leave | null>
  /** From now on so many. Where there are fewer than before, nobody has to leave: the next goes in when enough have left. */
  resize(limits: PartLimits): void
  limits(): PartLimits
  /** Places that are taken. */
  held(part: Part): number
  /** How many wait although their share is not used up: for a place that others hold. */
  waiting(): number
}

export function makePartGate(given: PartLimits): PartGate {
  let limits = given
  const held: Record<Part, number> = { quick: 0, recovering: 0 }
  const waiting: Record<Part, number> = { quick: 0, recovering: 0 }
  const inLine = new Set<{ part: Part; goIn: () => void }>()
  const leaves: Record<Part, Leave> = { quick: () => leave('quick'), recovering: () => leave('recovering') }

  const isFull = (): boolean => held.quick + held.recovering >= limits.all
  const mayHave = (part: Part): boolean => part === 'quick' || held.recovering < limits.recovering

  function leave(part: Part): void {
    held[part] -= 1
    admit()
  }

  /** In the same step in which a place became free, so that no other can slip in between. */
  function admit(): void {
    for (const { part, goIn } of inLine) {
      if (isFull()) return
      if (mayHave(part)) goIn()
    }
  }

  function take(part: Part): Leave | null {
    if (isFull() || !mayHave(part)) return null
    held[part] += 1
    return leaves[part]
  }

  return {
    take,
    enter(part, signal) {
      if (signal?.aborted === true) return Promise.resolve(null)
      const taken = take(part)
      if (taken !== null) return Promise.resolve(taken)
      return new Promise((resolve) => {
        const one = { part, goIn: () => end(take(part)) }
        const giveUp = () => end(null)
        function end(came: Leave | null): void {
          inLine.delete(one)
          waiting[part] -= 1
          signal?.removeEventListener('abort', giveUp)
          resolve(came)
        }
        inLine.add(one)
        waiting[part] += 1
        signal?.addEventListener('abort', giveUp, { once: true })
      })
    },
    resize(next) {
      limits = next
      admit()
    },
    limits: () => limits,
    held: (part) => held[part],
    waiting: () =>
      waiting.quick + Math.max(0, Math.min(waiting.recovering, limits.recovering - held.recovering)),
  }
}
