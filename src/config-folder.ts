/**
 * Folders and files that are nobody else's business: `data_dir`, what lies in it, and the files of secrets.
 *
 * Promise: what we make is ours alone (0700). What is there already and is open to others is closed where it is ours; where
 * it is not and somebody else may exchange what is in it, it is refused.
 */
import { chmodSync, lstatSync, mkdirSync, statSync } from 'node:fs'
import { ConfigError } from './config-error.ts'

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
  return `data_dir ${dir} was open to others (mode ${before}); it is 0700 now`
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
  const whose = uid === 0 ? 'anybody may write into it' : `it belongs to the user id ${uid}`
  throw new ConfigError(
    'data_dir',
    `${dir} is not ours: ${whose} (mode ${octal(mode)}), who could exchange what is in it; ` +
      `run: chown ${me()} ${dir} && chmod 700 ${dir} (a volume that is mounted so: name a folder in it)`,
  )
}

/** Whether nobody but the user `owner` can get into `path`, a folder and no link to one. */
export function isPrivateFolder(path: string, owner: number): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === owner && (found.mode & 0o077) === 0
}
