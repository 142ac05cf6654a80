/** `limpet db load FILE`: fills the configured database, which must be empty, from a dump. */
import { resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import type { Log } from '../../observe/log.ts'
import { loadDatabase } from '../../store/copies/load.ts'
import { refuseUnfit } from '../../store/fitness.ts'
import type { Io } from '../io.ts'
import { withProgress } from '../progress.ts'
import { withDatabase } from '../with-database.ts'
import { readDumpFile } from './dump-file.ts'
import { patientPool } from './patient-pool.ts'
import { migratedBy, settingsFor, sizeOf, whatOf } from './say.ts'

export interface LoadCommand {
  config: Config
  log: Log
  io: Io
  file: string
}

export async function runLoad({ config, log, io, file }: LoadCommand): Promise<void> {
  let doing = 'opening the database'
  let bytes = 0
  async function* counting(pieces: AsyncGenerator<Buffer, void>) {
    for await (const piece of pieces) {
      bytes += piece.length
      yield piece
    }
  }
  const pieces = counting(readDumpFile(resolve(io.cwd, file)))
  // Before a database is started for it: is it one at all?
  const first = await pieces.next()
  async function* all() {
    if (first.done !== true) yield first.value
    yield* pieces
  }
  const loading = withDatabase(config, log, ({ url }) =>
    patientPool(url, async (pool) => {
      await refuseUnfit(pool, { queueSchema: null, migrating: true })
      const { server_name: serverName } = config
      return loadDatabase(pool, {
        serverName,
        pieces: all(),
        onTable: (name) => (doing = `loading ${name}`),
      })
    }),
  )
  const loaded = await withProgress(io.stderr, () => `${doing}, ${sizeOf(bytes)}`, loading).finally(() =>
    pieces.return(),
  )
  const { database } = config
  io.stdout.write(`loaded ${whatOf(loaded)}; checksum and counts match\n${migratedBy(loaded)}`)
  io.stdout.write(settingsFor(config, database.kind === 'url' ? database.url : 'embedded'))
  io.stdout.write(BEFORE)
}

const BEFORE = `Before \`limpet run\`: stop the limpet that the dump is of, and never start it on its own database again. Two that send
for one server_name send everything twice, and what one is told the other does not know. To look at the copy beside it,
use \`limpet run --role ingest,housekeep\`, which sends nothing.
What was told to limpet after the dump is not in the copy: let the homeserver send it again, from the source_token that
GET /v1/ingest/position answers. What was delivered after the dump is delivered again; receivers know it by its event id.
`
