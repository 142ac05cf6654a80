/**
 * Starts the embedded PostgreSQL, and starts it again when it ends unexpectedly (killed by the kernel for its memory,
 * or by an operator's mistake). Nothing else would.
 */
import type { Clock } from '../pace/clock.ts'
import type { Log } from '../observe/log.ts'
import { startEmbedded } from './server.ts'
import { isAlive } from './process-identity.ts'

export interface WatchedEmbedded {
  url: string
  stop(): Promise<void>
}

const LOOK_EVERY_MS = 1_000

/** The caller holds the lock of `dataDir`. Rejects when it can't be started at all. */
export async function watchEmbedded({
  dataDir,
  clock,
  log,
}: {
  dataDir: string
  clock: Clock
  log: Log
}): Promise<WatchedEmbedded> {
  const stopping = new AbortController()
  let server = await startEmbedded({ dataDir, log, owns: true })
  const { url, place } = server

  async function watch(): Promise<void> {
    for (;;) {
      await clock.sleep(LOOK_EVERY_MS, stopping.signal)
      if (stopping.signal.aborted) return
      if (isAlive(server.pid)) continue
      log.error({ pid: server.pid }, 'embedded PostgreSQL ended unexpectedly; starting it again')
      try {
        // The same socket and password: all connections know these.
        server = await startEmbedded({ dataDir, log, place, owns: true })
      } catch (error) {
        log.error({ err: error }, 'embedded PostgreSQL does not start; trying again')
      }
    }
  }

  const watching = watch()
  return {
    url,
    stop: async () => {
      stopping.abort()
      await watching
      await server.stop()
    },
  }
}
