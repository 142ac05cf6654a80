/**
 * `limpet init`: creates what a new install needs in one folder: `limpet.yaml`, a signing key and tokens. It
 * overwrites nothing. Only the owner can read the files (0600, in a folder of 0700), because the configuration may
 * later hold secrets too.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { loadConfig, withTokens } from '../config/config.ts'
import { loadSigningKey } from '../config/files.ts'
import { closeDataDir } from '../config/folder.ts'
import { sampleConfig } from '../config/sample.ts'
import { parseServerName } from '../matrix/ids.ts'
import { generateKey } from '../matrix/signing.ts'
import { CommandError, UsageError } from './cli-error.ts'
import type { Io } from './io.ts'

export interface InitOptions {
  /** Where the files go; made if missing. */
  readonly dir: string
  readonly serverName: string
  /** The homeserver's key file, used where it lies; else a new key is made. */
  readonly signingKey: string | undefined
  readonly io: Io
}

export function runInit({ dir, serverName, signingKey, io }: InitOptions): void {
  if (parseServerName(serverName) === null)
    throw new UsageError(`${JSON.stringify(serverName)} is not a valid server name`)
  const folder = resolve(io.cwd, dir)
  const file = join(folder, 'limpet.yaml')
  const ownKey = join(folder, 'limpet-data', `${serverName}.signing.key`)
  const tokens = join(folder, 'limpet-data', 'tokens.yaml')
  for (const path of signingKey === undefined ? [file, ownKey, tokens] : [file, tokens])
    if (existsSync(path)) throw new CommandError(`${path} already exists; nothing was written`)

  const given = signingKey === undefined ? null : resolve(io.cwd, signingKey)
  const key = given === null ? null : loadSigningKey(given)
  const show = (path: string) => relative(io.cwd, path) || path
  const write = (path: string, text: string) => {
    writeFileSync(path, text, { mode: 0o600, flag: 'wx' })
  }

  mkdirSync(folder, { recursive: true })
  closeDataDir(dirname(tokens))
  if (given === null) write(ownKey, generateKey(randomBytes).fileText)
  write(
    file,
    sampleConfig({ server_name: serverName, ...(given === null ? {} : { signing_key_path: given }) }),
  )
  withTokens(loadConfig({ file, env: {}, cwd: folder }), randomBytes)

  const lines = [
    `wrote ${show(file)}`,
    key === null
      ? `wrote ${show(ownKey)}, a new key: good for a first try; for real, put your homeserver's own key file in its place, or let the homeserver publish this key too`
      : `uses ${show(given ?? '')} (${key.keyId})`,
    `wrote ${show(tokens)}; the homeserver sends its items with the token \`ingest\`, you look and act with \`admin\``,
    `next: limpet check-config --config ${show(file)}`,
  ]
  io.stdout.write(`${lines.join('\n')}\n`)
}
