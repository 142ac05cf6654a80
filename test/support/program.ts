/**
 * A server program that a test wants: found on the PATH, else installed from Debian's packages where we may (root
 * and apt-get), else null.
 */
import { execFile } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

/** How long an installation may take, ms. */
export const INSTALL_MS = 300_000

/** `name`: the program's; `debian`: that of the package that brings it. */
export async function findOrInstall(name: string, debian: string): Promise<string | null> {
  const found = onPath(name)
  if (found !== null || process.getuid?.() !== 0 || onPath('apt-get') === null) return found
  const run = promisify(execFile)
  const options = { timeout: INSTALL_MS / 3, env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }
  // Another run may be installing just now.
  const apt = ['-o', 'DPkg::Lock::Timeout=60', '-q', '-y']
  // An out-of-date list may still do, and a list that can't be fetched is no reason to give up.
  await run('apt-get', [...apt, 'update'], options).catch(() => undefined)
  await run('apt-get', [...apt, '--no-install-recommends', 'install', debian], options).catch(() => undefined)
  return onPath(name)
}

function onPath(name: string): string | null {
  // Debian puts servers into /usr/sbin, which is not on everybody's PATH.
  for (const directory of [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin']) {
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not there: the next directory.
    }
  }
  return null
}
