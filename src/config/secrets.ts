/** Secrets in files of their own: `…_path` settings, the signing key's file, and generated tokens. */
import { accessSync, closeSync, constants, existsSync, fstatSync, linkSync, openSync } from 'node:fs'
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isTree } from './env.ts'
import type { Tree } from './env.ts'
import { ConfigError } from './error.ts'
import { closeDataDir, octal, OTHERS } from './folder.ts'
import { token } from './values.ts'
import { parseSettings } from './yaml.ts'

export interface NamedToken {
  /** What actions are recorded under: the name in the configuration, or the kind where there is only one. */
  readonly name: string
  readonly token: string
}
export type TokenKind = 'ingest' | 'read' | 'admin'
export type Tokens = Readonly<Record<TokenKind, readonly NamedToken[]>>

export const TOKEN_KINDS: readonly TokenKind[] = ['ingest', 'read', 'admin']

export const SECRETS: readonly string[] = [
  'database',
  'queue',
  'tokens.ingest',
  'tokens.read',
  'tokens.admin',
  'metrics.token',
  'federation.proxy',
  'sources.synapse.database',
  'sources.synapse.redis',
]

/** Replaces every `…_path` of a secret in `tree` by what the file holds. Relative paths start at `folder`. */
export function readSecretFiles(tree: Tree, folder: string): void {
  for (const secret of SECRETS) {
    const path = secret.split('.')
    const key = path.pop() ?? ''
    const node = path.reduce<unknown>((at, part) => (isTree(at) ? at[part] : undefined), tree)
    if (!isTree(node)) continue
    const file = node[`${key}_path`]
    if (typeof file !== 'string') continue
    if (node[key] !== undefined)
      throw new ConfigError(secret, `is set together with ${key}_path; leave one of them out`)
    const text = readSecretFile(resolve(folder, file), `${secret}_path`).trim()
    if (text === '') throw new ConfigError(`${secret}_path`, `${file} is empty`)
    // A map NAME: token is YAML in the file as well; a single secret is the file's text as it stands.
    const isMap = secret.startsWith('tokens.') && /:\s/.test(text)
    const wrong = (what: string) => new ConfigError(`${secret}_path`, `${file}: ${what}`)
    node[key] = isMap ? parseSettings(text, wrong) : text
    Reflect.deleteProperty(node, `${key}_path`)
  }
}

/** The text of a file that a setting names; a `ConfigError` that says what is wrong with it. */
export function readTextFile(file: string, key: string | null): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    throw new ConfigError(key, `${file} ${whyUnreadable(error)}`, { cause: error })
  }
}

/**
 * The text of a file that holds a secret, which nobody but its owner and its group may read or write. A group is how
 * systemd (credentials) and Kubernetes (`fsGroup`) hand one to a daemon.
 */
export function readSecretFile(file: string, key: string): string {
  let opened: number | undefined
  try {
    opened = openSync(file, 'r')
    const { mode } = fstatSync(opened)
    refuseOpenToOthers(file, mode, key)
    return readFileSync(opened, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError(key, `${file} ${whyUnreadable(error)}`, { cause: error })
  } finally {
    if (opened !== undefined) closeSync(opened)
  }
}

/** @throws ConfigError with the command that mends it */
export function refuseOpenToOthers(file: string, mode: number, key: string): void {
  if ((mode & OTHERS) === 0) return
  // A mounted one can't be changed from within: it comes with its mode.
  const mounted =
    'for a mounted secret: `mode: 0440` with `gid` (Docker), `defaultMode: 0440` with `fsGroup` (Kubernetes)'
  const how = `chmod 600 ${file} (or 640 if its group must read it; ${mounted})`
  throw new ConfigError(key, `${file} is open to others (mode ${octal(mode)}); run: ${how}`)
}

const tokensFile = (dataDir: string) => join(dataDir, 'tokens.yaml')

/** The tokens that an earlier start generated, if there was one. */
export function readGeneratedTokens(dataDir: string): Partial<Record<TokenKind, string>> {
  const file = tokensFile(dataDir)
  let text: string
  try {
    text = readSecretFile(file, 'tokens')
  } catch (error) {
    const { cause } = error as Error
    if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return {}
    throw error
  }
  const found: unknown = parseOrNull(text)
  // Also a token that no request could bring: it would be an admin's who can't get in, or an empty one anybody's.
  if (!isTree(found) || !Object.values(found).every((value) => token.safeParse(value).success))
    throw new ConfigError('tokens', `${file} is damaged; remove it, and the next start creates new tokens`)
  return found
}

/** Makes the tokens of `kinds` (mode 0600) and returns all that the file holds afterwards. */
export function generateTokens(
  dataDir: string,
  kinds: readonly TokenKind[],
  randomBytes: (size: number) => Uint8Array,
): Partial<Record<TokenKind, string>> {
  const old = readGeneratedTokens(dataDir)
  const missing = kinds.filter((kind) => old[kind] === undefined)
  if (missing.length === 0) return old
  const made = { ...old }
  for (const kind of missing) made[kind] = Buffer.from(randomBytes(24)).toString('base64url')
  const lines = Object.entries(made).map(([kind, token]) => `${kind}: ${JSON.stringify(token)}\n`)
  const file = tokensFile(dataDir)
  const next = `${file}.${Buffer.from(randomBytes(6)).toString('hex')}`
  try {
    closeDataDir(dataDir)
    writeFileSync(
      next,
      `# Made by limpet: the tokens that the configuration does not set.\n${lines.join('')}`,
      {
        mode: 0o600,
        flag: 'wx',
      },
    )
    // Of two processes that start at once the first one's tokens stay: link does not replace.
    if (Object.keys(old).length === 0) linkSync(next, file)
    else renameSync(next, file)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    if (codeOf(error) !== 'EEXIST')
      throw new ConfigError('data_dir', `can't write ${file}: ${whyUnreadable(error)}`, { cause: error })
  } finally {
    rmSync(next, { force: true })
  }
  return readGeneratedTokens(dataDir)
}

/** Where tokens and the embedded database are made at the first start: whether they can be, and nothing is made. */
export function refuseUnwritable(dataDir: string): void {
  let folder = dataDir
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder)
  try {
    if (!statSync(folder).isDirectory()) throw new ConfigError('data_dir', `${folder} is not a folder`)
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError('data_dir', `can't write into ${folder} (${codeOf(error) || String(error)})`, {
      cause: error,
    })
  }
}

function parseOrNull(text: string): unknown {
  try {
    return parseSettings(text, (what) => new Error(what))
  } catch {
    return null
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EACCES: "can't be read (permission denied)",
  EPERM: "can't be read (permission denied)",
  EISDIR: 'is a folder',
}

function whyUnreadable(error: unknown): string {
  return REASONS[codeOf(error)] ?? `can't be read (${codeOf(error) || String(error)})`
}
