/**
 * Builds what users run, JavaScript by tsc, into a folder of its own: the loader that lets the tests run
 * TypeScript wraps every function that is made, and a benchmark would measure that too.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { leaveBehind } from '../support/leftovers.ts'

/** The checkout that this file is in. */
export const HERE = fileURLToPath(new URL('../../', import.meta.url))

/** Builds a checkout; the folder goes with the run. Returns where a source file went: `built('src/main.ts')`. */
export async function build(root = HERE): Promise<(source: string) => string> {
  const folder = mkdtempSync(join(tmpdir(), 'limpet-bench-'))
  const remove = () => {
    rmSync(folder, { recursive: true, force: true })
    return Promise.resolve()
  }
  leaveBehind({ clear: remove, kill: () => void remove() })
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  // Types are `npm run check`'s business.
  const options = ['-p', join(root, 'tsconfig.json'), '--outDir', folder, '--noCheck', '--sourceMap', 'false']
  await promisify(execFile)(process.execPath, [tsc, ...options], { cwd: root })
  cpSync(join(root, 'migrations'), join(folder, 'migrations'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return (source) => join(folder, source.replace(/\.ts$/, '.js'))
}
