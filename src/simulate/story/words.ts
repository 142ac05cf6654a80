/** What is said of the story while it runs, a line each. */
import { GATHERED } from './plan.ts'
import type { Sizes } from './plan.ts'

export const STORY_WORDS = {
  sizes: ({ servers, rooms, events, seed }: Sizes) =>
    `${servers} servers, ${rooms} rooms, ${events} events, seed ${seed}: making a database`,
  begins: (rooms: number, dead: string) => `traffic begins: ${rooms} rooms; ${dead} is dead and stays dead`,
  goesAway: (server: string) => `${server} goes away; traffic goes on, with sticky events for it`,
  comesBack: (server: string, seconds: number) =>
    `${server} comes back after ${seconds} s; traffic pauses while it catches up`,
  joins: (server: string) => `${server} joins a room with ${GATHERED} sticky events from before`,
  goesOn: 'traffic goes on',
  ends: 'traffic ends; every server gets the rest',
} as const
