/**
 * What limpet remembers of the timeline of Synapse's stream, beside the source token: the anchors, and, if Synapse's
 * database was restored to an older state, where that left us and what an operator said.
 *
 * It is not written in the token's commit: an anchor is true whatever the token says. Processes of an older release
 * neither read nor write it. `continued` counts the operator's commands: what was read before a command is not written
 * after it.
 */
import type { Anchor } from './anchors.ts'

export interface Restored {
  /** Our place when it was noticed. */
  readonly place: number
  /** The end of its stream then. */
  readonly head: number
  /** Up to here it has the same events as before, as far as is known; null: nothing is known. */
  readonly common: number | null
}

export interface Timeline {
  /** The newest first. */
  readonly anchors: readonly Anchor[]
  readonly restored: Restored | null
  /** An operator has said to go on. */
  readonly goOn: boolean
  /** The rooms up to this one (limpet's id) have been told anew; null: there is nothing to tell. */
  readonly toldUpTo: number | null
  readonly continued: number
  /** Which server had the newest of the anchors; null: unknown. */
  readonly server: string | null
}

export interface TimelineStore {
  load(): Promise<Timeline>
  /** Writes `change`, unless a command has come since `continued` was read. */
  save(change: Partial<Timeline>, continued: number): Promise<void>
}

export const NEW_TIMELINE: Timeline = {
  anchors: [],
  restored: null,
  goOn: false,
  toldUpTo: null,
  continued: 0,
  server: null,
}

/** One that ends with the process. */
export function timelineInMemory(): TimelineStore {
  let timeline = NEW_TIMELINE
  return {
    load: () => Promise.resolve(timeline),
    save: (change, continued) => {
      if (continued === timeline.continued) timeline = { ...timeline, ...change }
      return Promise.resolve()
    },
  }
}
