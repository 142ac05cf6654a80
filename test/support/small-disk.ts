/**
 * A file system so small that it can be filled: for what happens when there is no space left on the disk.
 *
 * It lives in memory and is mounted, for which a test needs root and a container that allows it; where it
 * doesn't, the test is skipped and the count says why.
 */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { leaveBehind } from './leftovers.ts'
import { skip } from './skip.ts'

export interface SmallDisk {
  /** Where it is mounted. */
  path: string
  /** Takes every byte that is left. May be called again, for what was freed meanwhile. */
  fill(): void
  /** Gives back what `fill` took. */
  free(): void
  remove(): void
}

const CHUNK = Buffer.alloc(64 * 1024)

export function smallDisk(context: Mocha.Context, megabytes: number): SmallDisk {
  const path = mkdtempSync(join(tmpdir(), 'limpet-disk-'))
  try {
    const options = ['-o', `size=${megabytes}m,mode=0755`]
    execFileSync('mount', ['-t', 'tmpfs', ...options, 'limpet-test', path], { stdio: 'ignore' })
  } catch {
    rmSync(path, { recursive: true })
    return skip(context, 'no right to mount a small file system')
  }
  const ballast = join(path, 'ballast')
  const unmount = () => {
    // Lazily: a process that is just ending may still be in there.
    execFileSync('umount', ['-l', path])
    rmSync(path, { recursive: true })
  }
  const remove = () => {
    unmount()
    forget()
  }
  const forget = leaveBehind({ clear: async () => Promise.resolve().then(remove), kill: unmount })
  return {
    path,
    fill: () => {
      const file = openSync(ballast, 'a')
      try {
        for (let size = CHUNK.length; size >= 1; size = Math.floor(size / 2)) writeAll(file, size)
      } finally {
        closeSync(file)
      }
    },
    free: () => rmSync(ballast, { force: true }),
    remove,
  }
}

/** Pieces of this size until there is no space for one. */
function writeAll(file: number, size: number): void {
  try {
    while (writeSync(file, CHUNK, 0, size) > 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
