/**
 * As which users of this machine may limpet run? A command sends a token only to these.
 *
 * They are root, the command's own user, and the owner of what limpet creates: `data_dir` and the tokens in it. If
 * `data_dir` does not tell (it is missing, or it is a mounted volume that belongs to root and is writable by a group),
 * the owner of the signing key counts.
 */
import { readFileSync, statSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../../config/config.ts'

/** What user ids become that have no place in our user namespace: user_namespaces(7). */
const OVERFLOW = 65_534

/** User ids; null where users have none. */
export function limpetUsers({ data_dir, signing_key_path }: Config): number[] | null {
  const me = process.geteuid?.()
  if (me === undefined) return null
  const folder = lookAt(data_dir)
  const saysWho = folder !== null && (folder.uid !== 0 || (folder.mode & 0o020) === 0)
  const owned = [folder, lookAt(join(data_dir, 'tokens.yaml')), saysWho ? null : lookAt(signing_key_path)]
  const owners = owned.flatMap((stats) => (stats === null ? [] : [stats.uid]))
  return [...new Set([me, 0, ...owners.filter((uid) => uid !== OVERFLOW || everybodyHasAnId())])]
}

function lookAt(path: string): Stats | null {
  try {
    return statSync(path)
  } catch {
    return null
  }
}

/** False in a user namespace where many users, all that have no place there, look like one. */
function everybodyHasAnId(): boolean {
  try {
    return /^\s*0\s+0\s+4294967295\s*$/.test(readFileSync('/proc/self/uid_map', 'utf8'))
  } catch {
    return true
  }
}

/** For people: `the user nobody`. */
export function nameOfUser(uid: number): string {
  try {
    const lines = readFileSync('/etc/passwd', 'utf8').split('\n')
    const name = lines.map((line) => line.split(':')).find((fields) => fields[2] === String(uid))?.[0]
    if (name !== undefined && name !== '') return `the user ${name}`
  } catch {
    // A system that keeps its accounts elsewhere.
  }
  return `the user id ${uid}`
}
