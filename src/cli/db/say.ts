/** What the commands for copies say: what was copied, what to put into `limpet.yaml`, and what must not run any more. */
import { counted } from '../admin/ages.ts'
import type { Config } from '../../config/config.ts'
import type { Copied } from '../../store/copies/dump.ts'
import type { LoadedCopy } from '../../store/copies/load.ts'

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const

/** 1,234 bytes, 1.2 MB. */
export function sizeOf(bytes: number): string {
  let unit = 0
  let size = bytes
  while (size >= 1000 && unit < UNITS.length - 1) {
    size /= 1000
    unit += 1
  }
  return `${size.toFixed(unit === 0 ? 0 : 1)} ${UNITS[unit] ?? ''}`
}

/** Rows, tables, whose, and of which moment. */
export function whatOf({ header, tables, rows }: Copied): string {
  const { server_name, at, head, postgres, ledger } = header
  const schema = Math.max(...ledger.map(({ version }) => version))
  return `${counted(rows, 'row')} of ${counted(tables, 'table')} of ${server_name ?? 'no server name yet'} (${new Date(at).toISOString()}, position ${head}, schema ${schema}, PostgreSQL ${postgres})`
}

/** The lines to put in `limpet.yaml`. The caller masks the password in `database` before printing them. */
export function settingsFor(config: Config, database: string): string {
  const lines = [`server_name: ${config.server_name}`, `database: ${database}`]
  if (database === 'embedded') lines.push(`data_dir: ${config.data_dir}`)
  else lines.push('# (with its password; or in a file of mode 0600 that database_path names)')
  return `put into limpet.yaml:\n${lines.map((line) => `  ${line}\n`).join('')}`
}

export function migratedBy({ migrated }: LoadedCopy): string {
  const [first, last] = [migrated[0], migrated.at(-1)]
  if (first === undefined) return ''
  return `migrated to this release's schema: ${first === last ? first : `${first} to ${last}`}\n`
}
