/**
 * Settings from the environment: `LIMPET_` and the key's path in upper case, with `__` between levels
 * (`LIMPET_FEDERATION__MAX_PDUS`). Each overrides the file.
 *
 * If the setting is text, the value is taken as it stands; otherwise it is read as YAML: `512`, `true`, `[a, b]`,
 * `{host: 0.0.0.0, port: 8469}`.
 */
import { z } from 'zod'
import { ConfigError } from './error.ts'
import { settingAt } from './schema.ts'
import { parseSettings } from './yaml.ts'

export type Tree = Record<string, unknown>
export type Environment = Readonly<Record<string, string | undefined>>

// The test suite's switches are no settings, nor is what stands for an option of a command.
const SWITCH = /^LIMPET_(?:REQUIRE_|TEST_|(?:CONFIG|URL|TOKEN)$)/
// What Kubernetes sets in every pod for each service of its namespace, here those whose names begin with `limpet`: five kinds
// of variables. Of `NAME_PORT` the value must be an address too: LIMPET_LISTEN_PORT=8469 is a setting with a slip of the pen.
const OF_A_SERVICE =
  /^LIMPET_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_PROTO|_PORT|_ADDR)?)$/
const PORT_OF_A_SERVICE = /^LIMPET_(?:\w+_)?PORT$/
const SERVICE_ADDRESS = /^(?:tcp|udp|sctp):\/\//i

/** What stands for `--config`; an empty one counts as not set. */
export const configFileOf = (env: Environment): string | undefined =>
  env['LIMPET_CONFIG'] === '' ? undefined : env['LIMPET_CONFIG']

/** Puts the environment's settings into `tree`. Returns which variable each path came from. */
export function overrideFromEnvironment(tree: Tree, env: Environment): Map<string, string> {
  const from = new Map<string, string>()
  for (const [name, value] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!name.startsWith('LIMPET_') || value === undefined) continue
    const path = name.slice('LIMPET_'.length).toLowerCase().split('__')
    if (isForeign(name, value, path)) continue
    if (value === '') throw new ConfigError(name, 'is empty; leave it out to get the default')
    set(tree, path, valueAt(path, value, name), name)
    from.set(path.join('.'), name)
  }
  return from
}

function isForeign(name: string, value: string, path: readonly string[]): boolean {
  if (SWITCH.test(name)) return true
  // What is written into a section of ours, or to one of our settings, is meant for us: LIMPET_LISTEN__PORT.
  if (settingAt(path.slice(0, 1)) !== null) return false
  return OF_A_SERVICE.test(name) || (PORT_OF_A_SERVICE.test(name) && SERVICE_ADDRESS.test(value))
}

function set(tree: Tree, path: readonly string[], value: unknown, name: string): void {
  let node = tree
  for (const key of path.slice(0, -1)) {
    const next = (node[key] ??= {})
    if (!isTree(next)) throw new ConfigError(name, `${key} is not a section here; set it as a whole`)
    node = next
  }
  const key = path.at(-1) ?? ''
  node[key] = value
  // A secret and the file that holds it are two spellings of one setting.
  Reflect.deleteProperty(node, key.endsWith('_path') ? key.slice(0, -'_path'.length) : `${key}_path`)
}

function valueAt(path: readonly string[], text: string, name: string): unknown {
  const setting = settingAt(path)
  if (setting !== null && z.safeParse(setting, text).success) return text
  return parseSettings(text, (what) => new ConfigError(name, what))
}

export function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
