/** Somebody talks on and on, so that there is traffic while something else happens. */
import { systemClock } from '../../../src/pace/clock.ts'
import type { Client } from './client.ts'

export interface Talk {
  /** Ends it; resolves to what was said, in order. @throws where something could not be said */
  stop(): Promise<{ readonly room: string; readonly eventId: string }[]>
}

/** More is not needed, and a backlog of a hundred in one room is more than a Synapse takes (docs/synapse.md). */
const EVERY_MS = 150

/** Says something in each of the rooms in turn. */
export function talk(client: Client, rooms: readonly string[]): Talk {
  const said: { room: string; eventId: string }[] = []
  const stopping = new AbortController()
  const talking = (async () => {
    for (let i = 0; !stopping.signal.aborted; i += 1) {
      const room = rooms[i % rooms.length] ?? ''
      said.push({ room, eventId: await client.send(room, `and so on, ${i}`) })
      await systemClock.sleep(EVERY_MS, stopping.signal)
    }
  })()
  // Whoever stops it is told.
  talking.catch(() => undefined)
  return {
    async stop() {
      stopping.abort()
      await talking
      return said
    },
  }
}
