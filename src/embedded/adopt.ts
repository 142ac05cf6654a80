/**
 * Adopts a PostgreSQL that a killed limpet left running. It is ours if it runs as the owner of the data directory,
 * listens where nobody else can, and proves that it knows the password in `data_dir`.
 *
 * A server that is ours but does not prove it (started by a limpet up to 0.1 on a port, or by a start that was cut
 * short) is stopped, and started again as it should be.
 */
import type { Clock } from '../pace/clock.ts'
import type { Cluster } from './cluster.ts'
import { clusterUrl, readPassword, writePassword } from './cluster.ts'
import type { Postmaster } from './postmaster.ts'
import { answers, findPostmaster, isReady, SERVER_PATIENCE_MS, query, stopPostmaster } from './postmaster.ts'
import { EmbeddedError } from './program.ts'
import { newPassword, verifierOf } from './roles.ts'
import { demandPrivateSocket, PORT } from './socket.ts'
import { variants } from '../store/statement.ts'

export interface FoundServer {
  pid: number
  place: { folder: string; password: string }
}

export interface Adopting {
  clock: Clock
  log: { info(fields: object, message: string): void }
  /** Give it a new password, as at a start. */
  renew: boolean
}

/** The server that is there already, once it answers; null when there is none, or is none any more. */
export async function adoptEmbedded(
  cluster: Cluster,
  { clock, log, renew }: Adopting,
): Promise<FoundServer | null> {
  const deadline = clock.monotonic() + SERVER_PATIENCE_MS
  for (;;) {
    const running = findPostmaster(cluster)
    if (running === null) return null
    const { pid } = running
    if (isReady(cluster, pid)) {
      const place = placeOf(cluster, running)
      const known = place === null ? 'no' : await answers(clusterUrl(place.folder, PORT, place.password))
      if (place !== null && known === 'yes')
        return { pid, place: renew ? await renewed(cluster, place) : place }
      if (known === 'no') {
        log.info({ pid }, 'embedded PostgreSQL was running with other settings; restarting it')
        await stopPostmaster(pid, 'fast', clock)
      }
    }
    if (clock.monotonic() > deadline) {
      throw new EmbeddedError(
        'EMBEDDED_FAILED',
        `a PostgreSQL (process ${pid}) runs on ${cluster.data} but does not answer: stop it, then start limpet again`,
      )
    }
    await clock.sleep(50)
  }
}

/** Null: it is on a port, or no password is known. */
function placeOf(cluster: Cluster, { folder, owner }: Postmaster): FoundServer['place'] | null {
  const password = readPassword(cluster)
  if (folder === null || password === null) return null
  demandPrivateSocket(folder, owner)
  return { folder, password }
}

const setPassword = variants('set the password')

async function renewed(
  cluster: Cluster,
  { folder, password: old }: FoundServer['place'],
): Promise<FoundServer['place']> {
  const password = newPassword()
  await query(clusterUrl(folder, PORT, old), (client) =>
    client.query(setPassword(`alter role current_user password '${verifierOf(password)}'`)),
  )
  // Cut short here, it is not known any more: then the next one starts it anew.
  writePassword(cluster, password)
  return { folder, password }
}

/** Where a command finds the database of a daemon that runs; null: it has not started it yet. */
export function urlOfRunning(cluster: Cluster): string | null {
  const running = findPostmaster(cluster)
  const password = readPassword(cluster)
  if (running === null || password === null) return null
  // A limpet up to 0.1 is still running. Its server proves itself too, or is not told anything.
  if (running.folder === null) return clusterUrl('127.0.0.1', running.port, password)
  demandPrivateSocket(running.folder, running.owner)
  return clusterUrl(running.folder, PORT, password)
}
