/** How a field of an item is read, whatever the item's type: its value, or the error that says where and why. */
import type { JsonObject, JsonValue } from '../matrix/json-value.ts'

/** Throws an `ItemError`: `path` is dotted within the item. */
export type Fail = (path: string, why: string, code?: 'M_TOO_LARGE' | 'M_BAD_JSON') => never

export function requireText(value: JsonValue | undefined, path: string, fail: Fail): string {
  return typeof value === 'string' ? value : fail(path, value === undefined ? 'is missing' : 'must be text')
}

/** A list of server names, unchecked; null: there is none. */
export function listOf(node: JsonObject, key: string, fail: Fail): string[] | null {
  const value = node[key]
  if (value === undefined) return null
  if (!Array.isArray(value)) return fail(key, 'must be a list of server names')
  return value.map((name, at) => requireText(name, `${key}.${at}`, fail))
}
