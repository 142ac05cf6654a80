/** `limpet db copy --to URL`: moves what is in the configured database into another, empty one. */
import { join } from 'node:path'
import type { Config } from '../../config/config.ts'
import { databaseSetting } from '../../config/values.ts'
import { placeOf } from '../../config/url.ts'
import { version } from '../../daemon/version.ts'
import type { Log } from '../../observe/log.ts'
import { copyOver, refuseSource } from '../../store/copies/copy-over.ts'
import type { LoadedDump } from '../../store/copies/load.ts'
import type { Pool } from '../../store/db.ts'
import { refuseUnfit } from '../../store/fitness.ts'
import { CommandError, UsageError } from '../cli-error.ts'
import type { Io } from '../io.ts'
import { withProgress } from '../progress.ts'
import { isUsed, withDatabase } from '../with-database.ts'
import { patientPool } from './patient-pool.ts'
import { settingsFor, whatOf } from './say.ts'

export interface CopyCommand {
  config: Config
  log: Log
  io: Io
  /** A postgres:// URL, or `embedded`. */
  to: string
}

export async function runCopy({ config, log, io, to }: CopyCommand): Promise<void> {
  io.secrets?.addUrl(to)
  const target = configFor(config, to)
  if (config.database.kind !== 'url' && isUsed(config.data_dir))
    throw new CommandError(
      `a limpet runs on data_dir ${config.data_dir}: stop it first, or make a backup of it with \`limpet db dump\``,
    )
  let doing = 'opening the databases'
  async function copyInto(source: Pool, into: Pool): Promise<LoadedDump> {
    await refuseUnfit(into, { queueSchema: null, migrating: true })
    const onTable = (name: string) => (doing = `copying ${name}`)
    return copyOver({ source, target: into, version, serverName: config.server_name, onTable })
  }
  const copying = withDatabase(config, log, async ({ url: from, pool }) => {
    // Before a target is opened, which may mean that an embedded one is made.
    await refuseSource(pool)
    return withDatabase(target, log, ({ url }) =>
      patientPool(from, (source) => patientPool(url, (into) => copyInto(source, into))),
    )
  })
  const copied = await withProgress(io.stderr, () => doing, copying)
  io.stdout.write(`copied ${whatOf(copied)}; counts match\n${settingsFor(config, to)}`)
  io.stdout.write(
    `Then start limpet, and start none on ${oldPlace(config)} again: two that send for one server_name send everything twice, and what one is told the other does not know. Nothing was changed there: until limpet has run on the copy, the way back is the old setting. Remove it when all is well.\n`,
  )
}

/** As `config`, with the database that `to` names. */
function configFor(config: Config, to: string): Config {
  const parsed = databaseSetting.safeParse(to)
  if (!parsed.success) throw new UsageError(`--to ${parsed.error.issues[0]?.message ?? 'is wrong'}`)
  if (parsed.data.kind !== 'url' && config.database.kind !== 'url')
    throw new UsageError('--to: the configured database is the embedded one already')
  return { ...config, database: parsed.data }
}

const oldPlace = ({ database, data_dir }: Config): string =>
  database.kind === 'url' ? placeOf(database.url) : join(data_dir, 'postgres')
