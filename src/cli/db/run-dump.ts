/** `limpet db dump FILE`: a backup of the database, also while limpet runs on it. */
import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Config } from '../../config/config.ts'
import { version } from '../../daemon/version.ts'
import type { Log } from '../../observe/log.ts'
import { dumpDatabase } from '../../store/copies/dump.ts'
import type { Io } from '../io.ts'
import { withProgress } from '../progress.ts'
import { withDatabase } from '../with-database.ts'
import { writeDumpFile } from './dump-file.ts'
import { patientPool } from './patient-pool.ts'
import { sizeOf, whatOf } from './say.ts'

export interface DumpCommand {
  config: Config
  log: Log
  io: Io
  file: string
  /** Replace a file that is there. */
  force: boolean
}

export async function runDump({ config, log, io, file, force }: DumpCommand): Promise<void> {
  const path = resolve(io.cwd, file)
  let doing = 'opening the database'
  let bytes = 0
  const dumping = writeDumpFile(path, { force }, (put) =>
    withDatabase(config, log, ({ url }) =>
      patientPool(url, (pool) =>
        dumpDatabase(pool, {
          version,
          write: (piece) => ((bytes += piece.length), put(piece)),
          onTable: (name) => (doing = `dumping ${name}`),
        }),
      ),
    ),
  )
  const dumped = await withProgress(io.stderr, () => `${doing}, ${sizeOf(bytes)}`, dumping)
  io.stdout.write(`dumped ${whatOf(dumped)}\nto ${path}, ${sizeOf(statSync(path).size)}\n`)
  io.stdout.write(
    'It holds messages: keep it as safe as the database. limpet.yaml, the signing key and tokens.yaml are not in it.\n',
  )
}
