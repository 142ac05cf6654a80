/**
 * The file of a dump: compressed, readable by its owner alone, and there under its name only when it is whole.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync, rmSync } from 'node:fs'
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { constants, createGunzip, createGzip } from 'node:zlib'
import { CommandError } from '../cli-error.ts'
import { DumpError } from '../../store/copies/dump-error.ts'

/** A signal ends a process without a word, by default; an exit takes what is half written along. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Gives `produce` something that takes pieces of the file, and puts the file in its place when that is done.
 * @throws CommandError where there is one already and it may not be replaced
 */
export async function writeDumpFile<T>(
  path: string,
  { force }: { force: boolean },
  produce: (write: (piece: Buffer) => Promise<void>) => Promise<T>,
): Promise<T> {
  if (!force && existsSync(path)) throw isThere(path)
  const aside = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}`)
  const clear = () => rmSync(aside, { force: true })
  const exit = (_signal: NodeJS.Signals, number: number) => process.exit(128 + number)
  process.once('exit', clear)
  for (const signal of ENDING) process.once(signal, exit)
  try {
    const made = await writeAside(aside, produce)
    await (force ? rename(aside, path) : putInPlace(aside, path))
    await syncFolder(dirname(path))
    return made
  } finally {
    await rm(aside, { force: true })
    process.off('exit', clear)
    for (const signal of ENDING) process.off(signal, exit)
  }
}

async function writeAside<T>(
  aside: string,
  produce: (write: (piece: Buffer) => Promise<void>) => Promise<T>,
): Promise<T> {
  // The quickest of the levels: on the highest a large dump would take many times as long, for a tenth less.
  const gzip = createGzip({ level: constants.Z_BEST_SPEED })
  const file = createWriteStream(aside, { flags: 'wx', mode: 0o600, flush: true })
  const stored = pipeline(gzip, file)
  // Where it fails, `write` says so first.
  stored.catch(() => undefined)
  const write = async (piece: Buffer) => {
    if (gzip.destroyed) await stored
    if (!gzip.write(piece)) await Promise.race([once(gzip, 'drain'), stored])
  }
  try {
    const made = await produce(write)
    gzip.end()
    await stored
    return made
  } catch (error) {
    gzip.destroy()
    await stored.catch(() => undefined)
    throw error
  }
}

const isThere = (path: string) =>
  new CommandError(`${path} exists already: give another name, or --force to replace it`)

/** File systems without hard links say so in several ways. */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/** A link, unlike a rename, never replaces what another program has put there meanwhile. */
async function putInPlace(aside: string, path: string): Promise<void> {
  try {
    await link(aside, path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'EEXIST' || (NO_LINKS.has(code) && existsSync(path))) throw isThere(path)
    if (!NO_LINKS.has(code)) throw error
    await rename(aside, path)
  }
}

// Without this a power cut could take the new name away again.
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    // Some file systems know no such thing.
    await folder.sync().catch(() => undefined)
  } finally {
    await folder.close()
  }
}

/** What is in the file, piece by piece. Throws DumpError where it can't be unpacked, or something follows its end. */
export async function* readDumpFile(path: string): AsyncGenerator<Buffer, void> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw new CommandError(`${path} can't be read: ${(error as Error).message}`)
  })
  const gunzip = createGunzip()
  const unpacked = pipeline(createReadStream(path), gunzip)
  unpacked.catch(() => undefined)
  try {
    for await (const piece of gunzip) yield piece as Buffer
    await unpacked
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'Z_DATA_ERROR' && gunzip.bytesWritten === 0)
      throw new DumpError(`${path} is not a dump of limpet`, { cause: error })
    if (/^Z_/.test((error as NodeJS.ErrnoException).code ?? ''))
      throw new DumpError(`the dump is damaged: ${(error as Error).message}`, { cause: error })
    throw error
  }
  if (gunzip.bytesWritten !== size) throw new DumpError('the dump is damaged: something follows its end')
}
