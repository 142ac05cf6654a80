/** All lanes, first things first. */
import { gap } from './gap.ts'
import type { Lane } from './lane.ts'
import { replays } from './replays.ts'
import { timeline } from './timeline.ts'
import { unlisted } from './unlisted.ts'

export const LANES: readonly Lane[] = [replays, unlisted, gap, timeline]
