/** `docs/config.md`: every setting, from the schema that checks them and the table of what applies at SIGHUP. */
import { z } from 'zod'
import { AT_HANGUP } from '../../src/config/at-hangup.ts'
import { SECRETS } from '../../src/config/secrets.ts'
import { settingsSchema } from '../../src/config/schema.ts'
import { asPage, table, WRITTEN_BY } from './markdown.ts'

const HEAD = `# Settings

Every key of \`limpet.yaml\`. Only \`server_name\` is needed. \`limpet init\` writes a file with all of them as comments, and \`limpet check-config\` says which values
are in force.

- A key is overridden by an environment variable: \`LIMPET_\`, then the path in upper case with \`__\` between levels
  (\`LIMPET_FEDERATION__MAX_CONCURRENCY\`).
- Units are in the names: \`_ms\` are milliseconds, \`_bytes\` bytes.
- **At SIGHUP**: _applies_, in that process, or _restart_: it keeps the value that the process started with. If anything in the file is wrong, nothing is changed.
- A key that ends in \`_path\` and stands beside a secret names a file that holds it; set one of the two.
- An unknown key, a wrong type or an impossible value is refused at the start (exit status 2) with the key's path.

${WRITTEN_BY}
`

type Shape = Readonly<Record<string, z.ZodType>>

export function configPage(): Promise<string> {
  const top = settingsSchema.shape as Shape
  const sections = Object.entries(top).filter(
    ([key, setting]) => key !== 'internal' && shapeOf(setting) !== null,
  )
  const plain = Object.entries(top).filter(([, setting]) => shapeOf(setting) === null)
  return asPage([
    HEAD,
    '## Of the whole',
    '',
    tableOf(plain.flatMap(([key, setting]) => rowsOf(key, setting))),
    ...sections.flatMap(([key, setting]) => [
      `## ${key}`,
      '',
      setting.description ?? '',
      '',
      tableOf(rowsOf(key, setting)),
    ]),
  ])
}

const tableOf = (rows: readonly (readonly string[])[]) =>
  table(['Key', 'Type', 'Default', 'Meaning', 'At SIGHUP'], rows)

function rowsOf(path: string, setting: z.ZodType): string[][] {
  const inner = shapeOf(setting)
  if (inner !== null) return Object.entries(inner).flatMap(([key, one]) => rowsOf(`${path}.${key}`, one))
  const { description = '' } = setting
  return [[`\`${path}\``, typeOf(path, setting), defaultOf(path, setting), description, atHangup(path)]]
}

/** The keys of a section; null: it is a setting. */
function shapeOf(setting: z.core.$ZodType): Shape | null {
  if (setting instanceof z.ZodPrefault || setting instanceof z.ZodOptional)
    return shapeOf(setting.def.innerType)
  return setting instanceof z.ZodObject ? setting.shape : null
}

function atHangup(path: string): string {
  const secret = path.replace(/_path$/, '')
  const key = SECRETS.includes(secret) ? secret : path
  const found = Object.keys(AT_HANGUP).find((one) => key === one || key.startsWith(`${one}.`))
  if (found === undefined) throw new Error(`${path}: src/config/at-hangup.ts does not say what SIGHUP does`)
  return AT_HANGUP[found] === 'now' ? 'applies' : 'restart'
}

function defaultOf(path: string, setting: z.core.$ZodType): string {
  if (setting instanceof z.ZodDefault || setting instanceof z.ZodPrefault)
    return shown(path, setting.def.defaultValue)
  // Where something else stands for it, its description says what.
  return path === 'server_name' ? 'needed' : ''
}

function shown(path: string, value: unknown): string {
  const text = `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``
  return typeof value === 'number' && path.endsWith('_ms') ? `${text}${inWords(value)}` : text
}

const UNITS = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1000 }

function inWords(ms: number): string {
  const unit = Object.entries(UNITS).find(([, length]) => ms >= length && ms % length === 0)
  return unit === undefined ? '' : ` (${ms / unit[1]} ${unit[0]})`
}

interface JsonSchema {
  type?: string
  minimum?: number
  maximum?: number
  enum?: unknown[]
  anyOf?: JsonSchema[]
  items?: JsonSchema
  const?: unknown
}

function typeOf(path: string, setting: z.ZodType): string {
  if (path === 'listen') return 'listener, or list of listeners'
  return named(z.toJSONSchema(setting, { io: 'input', unrepresentable: 'any' }) as JsonSchema, path)
}

function named(schema: JsonSchema, path: string): string {
  const { type, items, minimum, maximum } = schema
  if (schema.enum !== undefined) return schema.enum.map((one) => `\`${String(one)}\``).join(', ')
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``
  if (schema.anyOf !== undefined) return schema.anyOf.map((one) => named(one, path)).join(' or ')
  if (type === 'array') return `list of ${named(items ?? {}, path)}`
  if (type === 'object') return 'map of names to text'
  if (type === 'integer' || type === 'number') {
    const most = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? ' or more' : ` to ${maximum}`
    return `${path.endsWith('_ms') ? 'ms' : path.endsWith('_bytes') ? 'bytes' : 'number'}, ${minimum ?? 0}${most}`
  }
  return type === 'boolean' ? 'true, false' : 'text'
}
