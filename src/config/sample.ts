/**
 * A configuration file with every setting, its meaning and its default: `config.sample.yaml`, and the file that
 * `limpet init` writes. It is generated from the schema, so it is never out of date.
 */
import { stringify } from 'yaml'
import { z } from 'zod'
import { settingsSchema } from './schema.ts'

const HEAD = `# limpet's configuration. A value after a # is the default, or an example if there is no default.
# An environment variable overrides a key: LIMPET_FEDERATION__MAX_PDUS=50 sets federation.max_pdus.
# Relative paths are relative to this file's folder.
`

/** `values`: what is set, by top-level key; everything else is there as a comment. */
export function sampleConfig(values: Readonly<Record<string, string>>): string {
  return `${HEAD}\n${section(settingsSchema, '', values)}`
}

function section(schema: z.ZodObject, indent: string, values: Readonly<Record<string, string>>): string {
  const entries = Object.entries(schema.shape) as [string, z.ZodType][]
  const shown = entries.filter(([key]) => key !== 'internal')
  return shown
    .map(([key, setting]) => entry(key, setting, indent, values[key]))
    .join(indent === '' ? '\n' : '')
}

function entry(key: string, setting: z.ZodType, indent: string, value: string | undefined): string {
  const about = setting.description === undefined ? '' : `${indent}# ${setting.description}\n`
  if (value !== undefined) return `${about}${indent}${key}: ${inline(value)}\n`
  const inner = innerObject(setting)
  if (inner === null) return `${about}${indent}#${key}: ${inline(defaultOf(setting))}`.trimEnd() + '\n'
  // A section that is not there by default is a comment as a whole.
  if (setting instanceof z.ZodOptional) return `${about}${indent}#${key}:\n${comments(inner, indent)}`
  return `${about}${indent}${key}:\n${section(inner, `${indent}  `, {})}`
}

function comments(schema: z.ZodObject, indent: string): string {
  const entries = Object.entries(schema.shape) as [string, z.ZodType][]
  const line = (key: string, setting: z.ZodType) => `${key}: ${inline(defaultOf(setting))}`.trimEnd()
  return entries
    .map(([key, setting]) => `${indent}#  ${line(key, setting)} # ${setting.description ?? ''}\n`)
    .join('')
}

function innerObject(setting: z.ZodType): z.ZodObject | null {
  if (!(setting instanceof z.ZodPrefault || setting instanceof z.ZodOptional)) return null
  const { innerType } = setting.def
  return innerType instanceof z.ZodObject ? innerType : null
}

function defaultOf(setting: z.ZodType): unknown {
  return setting instanceof z.ZodDefault || setting instanceof z.ZodPrefault
    ? setting.def.defaultValue
    : undefined
}

function inline(value: unknown): string {
  if (value === undefined) return ''
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()
}
