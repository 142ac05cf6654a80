/**
 * Canonical JSON: the one text of a value that is hashed, signed, stored and sent.
 *
 * Spec: appendices, "Canonical JSON". Keys in the order of their code points (JavaScript's own order is that
 * of UTF-16 units and differs above U+FFFF), no spaces, integers within ±(2^53 - 1) only.
 * The result is one flat string that shares no memory with what it was made from.
 */
import { isOddNumber, JsonError, textOfOddNumber } from './json-value.ts'
import type { JsonValue } from './json-value.ts'
import { MAX_DEPTH, PLAIN_DEPTH } from './read-limits.ts'
import { parseJson } from './strict-json.ts'

export interface CanonicalOptions {
  /** `keep`: numbers without a canonical form stay as they were written (room versions 1 to 5). Default `refuse`. */
  oddNumbers?: 'keep' | 'refuse'
}

/**
 * The canonical form of JSON text (or UTF-8 bytes).
 * @throws JsonError also for duplicate keys, lone surrogates and, unless kept, odd numbers
 */
export function canonicalize(text: string | Uint8Array, options: CanonicalOptions = {}): string {
  return canonicalText(parseJson(text), options)
}

/**
 * The canonical text of a value from `parseJson`.
 * @throws JsonError with the path of an odd number, unless they are kept
 */
export function canonicalText(value: JsonValue, options: CanonicalOptions = {}): string {
  return canonicalForm(value, options).text
}

/** The canonical text, and whether it is odd: it holds numbers without a canonical form, or is nested beyond `PLAIN_DEPTH` levels. */
export function canonicalForm(
  value: JsonValue,
  { oddNumbers = 'refuse' }: CanonicalOptions = {},
): { text: string; odd: boolean } {
  const out: JsonWriter = { parts: [], path: [], oddNumbers, odd: false }
  write(value, 0, out)
  return { text: out.parts.join(''), odd: out.odd }
}

/**
 * The canonical text of a value of our own making. Members that are `undefined` are left out; -0 is 0.
 * @throws JsonError for a number that is not a safe integer or a lone surrogate
 * @throws TypeError for what is not JSON at all (a Date, a bigint, a function)
 */
export function canonicalFromValue(value: unknown): string {
  return canonicalText(value as JsonValue)
}

/** Orders strings by their code points, as canonical JSON orders keys. */
export function compareCodePoints(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const unitA = a.charCodeAt(i)
    const unitB = b.charCodeAt(i)
    if (unitA !== unitB) return rank(unitA) - rank(unitB)
  }
  return a.length - b.length
}

// A surrogate stands for a code point above U+FFFF, so it goes behind U+E000 to U+FFFF.
function rank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800
}

interface JsonWriter {
  readonly parts: string[]
  /** Where the writer is; only the entries above the current level are true. */
  readonly path: (string | number)[]
  readonly oddNumbers: 'keep' | 'refuse'
  odd: boolean
}

function write(value: unknown, level: number, out: JsonWriter): void {
  if (typeof value === 'string') out.parts.push(quote(value, level, out))
  else if (typeof value === 'number') out.parts.push(integer(value, level, out))
  else if (value === null || typeof value === 'boolean') out.parts.push(String(value))
  else if (Array.isArray(value)) writeArray(value, level, out)
  else if (typeof value === 'object') writeObject(value, level, out)
  else throw notJson(typeof value, level, out)
}

function writeArray(values: readonly unknown[], level: number, out: JsonWriter): void {
  deepen(level, out)
  out.parts.push('[')
  for (let i = 0; i < values.length; i++) {
    if (i > 0) out.parts.push(',')
    out.path[level] = i
    write(values[i], level + 1, out)
  }
  out.parts.push(']')
}

function writeObject(value: object, level: number, out: JsonWriter): void {
  if (isOddNumber(value)) {
    if (out.oddNumbers === 'refuse') throw oddNumber(level, out)
    out.odd = true
    out.parts.push(textOfOddNumber(value))
    return
  }
  deepen(level, out)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null)
    throw notJson('an object with a class', level, out)
  const members = value as Record<string, unknown>
  let before = '{'
  for (const key of sortedKeys(members)) {
    const member = members[key]
    if (member === undefined) continue
    out.path[level] = key
    out.parts.push(before, quote(key, level, out), ':')
    write(member, level + 1, out)
    before = ','
  }
  out.parts.push(before === '{' ? '{}' : '}')
}

/** An object or a list within `level` others. */
function deepen(level: number, out: JsonWriter): void {
  if (level < PLAIN_DEPTH) return
  if (level >= MAX_DEPTH) throw tooDeep(level, out)
  out.odd = true
}

const SURROGATE = /[\ud800-\udfff]/
const LONE_SURROGATE = /\p{Surrogate}/u
const NOT_PLAIN = /[\u0000-\u001f"\\\ud800-\udfff]/ // eslint-disable-line no-control-regex

function sortedKeys(members: Record<string, unknown>): string[] {
  const keys = Object.keys(members).sort()
  // Without surrogates both orders are the same, and the engine's own sort is several times faster.
  for (const key of keys) if (SURROGATE.test(key)) return keys.sort(compareCodePoints)
  return keys
}

// For well-formed strings `JSON.stringify` escapes exactly what canonical JSON escapes, in the same spelling.
function quote(text: string, level: number, out: JsonWriter): string {
  if (!NOT_PLAIN.test(text)) return `"${text}"`
  if (LONE_SURROGATE.test(text))
    throw new JsonError('lone surrogate', out.path.slice(0, level), 'a lone surrogate')
  return JSON.stringify(text)
}

function integer(value: number, level: number, out: JsonWriter): string {
  if (!Number.isSafeInteger(value)) throw oddNumber(level, out)
  return String(value)
}

function oddNumber(level: number, out: JsonWriter): JsonError {
  return new JsonError(
    'odd number',
    out.path.slice(0, level),
    'a number that is not an integer within ±(2^53 - 1)',
  )
}

function tooDeep(level: number, out: JsonWriter): JsonError {
  return new JsonError('too deep', out.path.slice(0, level), `nested deeper than ${MAX_DEPTH}`)
}

function notJson(what: string, level: number, out: JsonWriter): TypeError {
  return new TypeError(`not JSON: ${what} at ${out.path.slice(0, level).join('.')}`)
}
