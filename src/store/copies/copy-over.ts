/**
 * Copies a database into another, empty one, without a file in between: what one side writes as a dump, the other reads.
 *
 * Promise: the copy is committed only if no limpet uses the source and nothing was written there since before it was
 * read. The source is only read.
 */
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { systemClock, type Clock } from '../../pace/clock.ts'
import type { Db, Pool } from '../db.ts'
import { tablesMade } from '../migrate.ts'
import { DumpError } from './dump-error.ts'
import { dumpDatabase } from './dump.ts'
import { loadDatabase, type LoadedCopy } from './load.ts'
import { listTables } from './shape.ts'
import { readMark, refuseUsed } from './still.ts'

/** What may wait between both, bytes. */
const BETWEEN = 1024 * 1024

export interface CopyOverNeeds {
  source: Pool
  target: Pool
  /** This release of limpet. */
  version: string
  serverName: string
  onTable?: ((name: string) => void) | undefined
}

/** The server takes a moment to notice that the connections of a limpet that was just stopped are closed, ms. */
const GONE_WITHIN_MS = 1_000
const LOOK_EVERY_MS = 50

/** @throws DumpError where there is nothing in it, or a limpet runs on it */
export async function refuseSource(source: Db, clock: Clock = systemClock): Promise<void> {
  if ((await listTables(source, await tablesMade())).length === 0)
    throw new DumpError('the configured database has no limpet schema: there is nothing to copy')
  const deadline = clock.monotonic() + GONE_WITHIN_MS
  for (;;) {
    try {
      await refuseUsed(source)
      return
    } catch (error) {
      if (!(error instanceof DumpError) || clock.monotonic() > deadline) throw error
    }
    await clock.sleep(LOOK_EVERY_MS)
  }
}

/** @throws DumpError, SchemaError. The pools: without a time limit for a statement */
export async function copyOver(needs: CopyOverNeeds): Promise<LoadedCopy> {
  const { source, target, version, serverName, onTable } = needs
  await refuseSource(source)
  const before = await readMark(source)
  const between = new PassThrough({ highWaterMark: BETWEEN })
  // Each end is told where it writes or reads.
  between.on('error', () => undefined)
  let failure: unknown = null
  const fail = (error: unknown) => {
    failure ??= error
    between.destroy(failure as Error)
  }
  const write = async (piece: Buffer) => {
    if (between.destroyed) throw failure as Error
    if (!between.write(piece)) await once(between, 'drain')
  }
  const dumping = dumpDatabase(source, { version, write }).then(() => between.end())
  const lastLook = async () => {
    await dumping
    await refuseUsed(source)
    if ((await readMark(source)) !== before)
      throw new DumpError('something was written to the database that was copied: the copy was undone')
  }
  const loading = loadDatabase(target, { serverName, pieces: between, lastLook, onTable })
  const [, loaded] = await Promise.all([dumping.catch(fail), loading.catch(fail)])
  if (failure !== null || loaded === undefined) throw failure as Error
  return loaded
}
