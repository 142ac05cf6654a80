/**
 * What happens once Synapse's database is known to be restored. Nothing, until an operator says so. Then our place
 * goes back to the last one that both timelines have, and limpet reads the servers of all rooms again before it takes
 * anything else.
 */
import type { Log } from '../../observe/log.ts'
import type { Db } from '../../store/db.ts'
import type { OurPlace, SourcePlace } from './our-place.ts'
import type { Progress } from './progress.ts'
import type { ToldRooms } from './purges.ts'
import { saidOfRestore, type RestoredWatch, type RestoreVerdict } from './restored.ts'
import { roomsAnew } from './tell-anew.ts'
import { eventsIn } from './token.ts'

export interface AfterRestoreNeeds {
  readonly pool: Db
  readonly serverName: string
  readonly told: Pick<ToldRooms, 'page'>
  readonly watch: RestoredWatch
  readonly progress: Pick<Progress, 'stopped'> | undefined
  /** Forgets which rooms were told. */
  readonly forget: () => void
  /** Rooms that are read by themselves go back, too. */
  readonly goBackTo: (at: number) => Promise<void>
  readonly take: OurPlace['take']
  readonly log: Log
}

export interface AfterRestore {
  /** Where we are then (null: to be looked up), and whether there is more to do at once. `end`: up to where it may be read. */
  act(
    verdict: Exclude<RestoreVerdict, { kind: 'same' }>,
    given: { here: SourcePlace; end: number | null; signal: AbortSignal },
  ): Promise<{ place: SourcePlace | null; more: boolean }>
  /**
   * Tells a page of rooms anew, as they are at the end of what may be read: a server that has left meanwhile is not brought back.
   * Null: our place is to be looked up.
   */
  tell(here: SourcePlace, end: number | null, signal: AbortSignal): Promise<SourcePlace | null>
}

export function makeAfterRestore(needs: AfterRestoreNeeds): AfterRestore {
  const { watch, take, log } = needs
  return {
    async act(verdict, { here, end, signal }) {
      needs.forget()
      if (verdict.kind === 'moved') return { place: null, more: true }
      if (verdict.kind === 'stopped') {
        const said = saidOfRestore(verdict.restored)
        if (verdict.isNew) log.error(verdict.restored, `Synapse: ${said}`)
        needs.progress?.stopped(said)
        return { place: here, more: false }
      }
      const from = verdict.common ?? end
      if (from === null) return { place: here, more: false }
      // First: what is behind that place waits for it, what is ahead would be missed.
      await needs.goBackTo(from)
      const place = await take([], { events: from, from: here.stored }, signal)
      if (place === null) return { place, more: true }
      await watch.wentOn(verdict.common)
      log.warn({ events: from }, 'Synapse: going on in the restored database, as ordered by an operator')
      return { place, more: true }
    },
    async tell(here, end, signal) {
      const after = watch.toldUpTo() ?? 0
      const { pool, told, serverName } = needs
      const at = Math.max(here.events, end ?? 0)
      const { items, upTo } = await roomsAnew(pool, { told, after, at, serverName })
      const taken = await take(items, { events: eventsIn(here.stored) ?? 0, from: here.stored }, signal)
      if (taken === null) return null
      await watch.tellingDone(upTo)
      return { ...taken, events: here.events }
    },
  }
}
