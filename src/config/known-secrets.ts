/**
 * Finds the secrets in a configuration that has not been checked yet, so that an error about it can be shown without
 * them.
 */
import type { Environment, Tree } from './env.ts'
import { isTree } from './env.ts'
import { SECRETS } from './secrets.ts'
import type { Secrets } from '../observe/secrets.ts'

/** Tells `secrets` what stands in the place of one, in whatever shape, and what by mistake stands where its file is named. */
export function noteSecrets(tree: Tree, env: Environment, secrets: Secrets): void {
  for (const path of SECRETS) {
    for (const text of textsIn(valueAt(tree, path.split('.'))))
      // A proxy's scheme may be left out.
      noteSecret(path === 'federation.proxy' && !text.includes('://') ? `http://${text}` : text, secrets)
    for (const text of textsIn(valueAt(tree, `${path}_path`.split('.')))) notePath(text, secrets)
  }
  for (const text of textsIn(tree['signing_key_path'])) notePath(text, secrets)
  // What PostgreSQL's driver takes where the URL says nothing.
  const { PGPASSWORD } = env
  if (PGPASSWORD !== undefined) secrets.add(PGPASSWORD)
}

/** Also for a secret's text that was read from a file. */
export function noteSecret(text: string, secrets: Secrets): void {
  if (text.includes('://')) {
    secrets.addUrl(text)
    // A Redis Cluster's.
    for (const one of text.split(/,\s*(?=rediss?:)/)) secrets.addUrl(one.trim())
    return
  }
  const words = /password\s*=\s*('[^']*'|\S+)/i.exec(text)?.[1]
  secrets.add(words === undefined ? text.trim() : words.replace(/^'|'$/g, ''))
}

/** A secret, or the line of a key file, in the place of a path. */
function notePath(text: string, secrets: Secrets): void {
  if (text.includes('://')) secrets.addUrl(text)
  const seed = /^ed25519\s+\S+\s+(\S+)/.exec(text)?.[1]
  if (seed !== undefined) secrets.add(seed)
}

function valueAt(tree: Tree, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isTree(at) ? at[key] : undefined), tree)
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  if (typeof value === 'number') return [String(value)]
  if (Array.isArray(value)) return value.flatMap(textsIn)
  return isTree(value) ? Object.values(value).flatMap(textsIn) : []
}
