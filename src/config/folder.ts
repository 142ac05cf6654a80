/**
 * Folders and files that only limpet's user may use: `data_dir`, what is in it, and files of secrets.
 *
 * Promise: what limpet creates is for its user alone (0700). An existing folder that is ours and open to others is
 * closed. One that is not ours, and in which somebody else could replace files, is refused.
 */
import { chmodSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { ConfigError } from './error.ts'

/** Who may do what with a file: the last three digits of its mode, in octal. */
export const octal = (mode: number): string => (mode & 0o777).toString(8).padStart(4, '0')

/** Reading and writing, for those who are neither the owner nor in the group. */
export const OTHERS = 0o006

const me = (): number | null => process.geteuid?.() ?? null

/**
 * Makes `dir`, or closes it where it is open to others. A group that may look in stays: somebody has chosen it.
 * @returns what was changed, for the log; null: nothing
 * @throws ConfigError where it is not ours and not safe
 */
export function closeDataDir(dir: string): string | null {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  if (!isOpenDataDir(dir)) return null
  const before = octal(statSync(dir).mode)
  try {
    chmodSync(dir, 0o700)
  } catch (error) {
    // Mounted read-only, say: what lies in it has modes of its own.
    return `data_dir ${dir} is open to others (mode ${before}) and can't be closed: ${(error as Error).message}`
  }
  return `data_dir ${dir} was open to others (mode ${before}); it is now 0700`
}

/**
 * Whether `dir` is ours and others can get in.
 * @throws ConfigError where it is not ours and not safe
 */
export function isOpenDataDir(dir: string): boolean {
  const { uid, mode } = statSync(dir)
  if (me() === null) return false
  if (uid === me() || me() === 0) return (mode & 0o007) !== 0
  // A mounted volume belongs to root, and its group is how we may write into it.
  if (uid === 0 && (mode & 0o002) === 0) return false
  const whose = uid === 0 ? 'any user may write to it' : `it belongs to user id ${uid}`
  throw new ConfigError(
    'data_dir',
    `${dir} does not belong to limpet's user: ${whose} (mode ${octal(mode)}), and its owner or writers could replace what is in it; ` +
      `run: chown ${me()} ${dir} && chmod 700 ${dir} (for a mounted volume: use a folder in it)`,
  )
}

/** Whether nobody but the user `owner` can get into `path`, a folder and no link to one. */
export function isPrivateFolder(path: string, owner: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === owner && (found.mode & 0o077) === 0
}
