/**
 * The directory of a PostgreSQL server for a test, copied from one that is made once a process: `initdb` and our schema
 * are a second or two of computing, copying them is little.
 *
 * As if made for it: the same files, its settings last in `postgresql.conf`, no port remembered.
 */
import { execFile } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { leaveBehind } from './leftovers.ts'
import { startServer } from './server.ts'

let template: Promise<string> | undefined

/**
 * Fills the empty `dataDir`.
 * @param prepare what every copy shall have in its database `limpet`; the same in every call
 */
export async function placeCluster(
  dataDir: string,
  settings: Readonly<Record<string, string>>,
  prepare: (url: string) => Promise<void>,
): Promise<void> {
  template ??= makeTemplate(prepare)
  // One failure must not be everybody's.
  template.catch(() => (template = undefined))
  const from = join(await template, 'postgres')
  const to = join(dataDir, 'postgres')
  mkdirSync(to, { mode: 0o700 })
  // cp keeps owners and modes, on which PostgreSQL insists.
  await promisify(execFile)('cp', ['-a', join(from, 'data'), join(from, 'password'), to])
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`)
  appendFileSync(join(to, 'data', 'postgresql.conf'), lines.join(''))
}

async function makeTemplate(prepare: (url: string) => Promise<void>): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'limpet-template-'))
  const remove = () => rmSync(dataDir, { recursive: true, force: true })
  const forget = leaveBehind({ clear: () => Promise.resolve().then(remove), kill: remove })
  const server = await startServer({ dataDir })
  try {
    await prepare(server.url)
  } catch (error) {
    forget()
    await server.stop('immediate')
    remove()
    throw error
  }
  await server.stop()
  return dataDir
}
