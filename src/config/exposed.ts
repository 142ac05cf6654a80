/**
 * Can others read the secrets in the configuration file itself? `run` warns about it and goes on, and `check-config`
 * fails. `run` goes on because `init` created the file with mode 0644 up to limpet 0.1, and an upgrade must not stop
 * an installation that works. Files that contain nothing but a secret are refused (`config-secrets.ts`).
 */
import { statSync } from 'node:fs'
import { isTree } from './env.ts'
import { ConfigError } from './error.ts'
import { octal, OTHERS } from './folder.ts'
import { SECRETS, readTextFile } from './secrets.ts'
import { parseSettings } from './yaml.ts'
import { maskUrls } from '../observe/secrets.ts'

/** Null: all is well. */
export function complainOfOpenFile(file: string | null): string | null {
  const mode = file === null ? 0 : statSync(file).mode
  if (file === null || (mode & OTHERS) === 0) return null
  const mended = `run: chmod 600 ${file} (or 640 if its group must read it)`
  if ((mode & 0o002) !== 0) return `${file} can be changed by any user (mode ${octal(mode)}); ${mended}`
  const shown = secretsIn(file)
  if (shown.length === 0) return null
  return `${file} holds ${shown.join(', ')} and can be read by any user (mode ${octal(mode)}); ${mended}`
}

/** The settings of `file` that are secrets and stand in it. A URL without a password is none. */
function secretsIn(file: string): string[] {
  const tree = parseSettings(readTextFile(file, null), (what) => new ConfigError(null, `${file}: ${what}`))
  return SECRETS.filter((secret) => {
    const value = secret.split('.').reduce<unknown>((at, key) => (isTree(at) ? at[key] : undefined), tree)
    if (value === undefined || value === null) return false
    const isUrl = /(?:^|\.)(?:database|queue|redis)$/.test(secret)
    return !isUrl || (typeof value === 'string' && maskUrls(value) !== value)
  })
}
