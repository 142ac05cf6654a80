/**
 * JSON after it has been read strictly: plain JavaScript values. Numbers that JavaScript or canonical JSON cannot
 * represent keep their text.
 */
const ODD = Symbol('odd number')

/**
 * A number without a canonical form, as it was written: `-0`, `1.0`, `1e3`, `1.5`, or beyond ±(2^53 - 1).
 * Room versions 1 to 5 may hold such numbers (spec: appendices, "Canonical JSON").
 */
export interface OddNumber {
  readonly [ODD]: string
}

export type JsonValue = null | boolean | number | string | OddNumber | JsonValue[] | JsonObject
export interface JsonObject {
  [key: string]: JsonValue
}

export type JsonFault =
  'syntax' | 'duplicate key' | 'lone surrogate' | 'too deep' | 'too large' | 'odd number'

const LONGEST_PATH = 255

/** What is wrong with a text or value, and where. The message never quotes a value. */
export class JsonError extends Error {
  override readonly name = 'JsonError'
  readonly fault: JsonFault
  /** Dotted, as in `items.3.pdu.content.body`; '' is the top. Cut after 255 characters. */
  readonly path: string

  constructor(fault: JsonFault, path: readonly (string | number)[], what: string) {
    const dotted = path.join('.')
    const shown = dotted.length > LONGEST_PATH ? `${dotted.slice(0, LONGEST_PATH)}…` : dotted
    super(shown === '' ? what : `${what} at ${shown}`)
    this.fault = fault
    this.path = shown
  }
}

export function makeOddNumber(text: string): OddNumber {
  return { [ODD]: text }
}

/** The number as it was written. */
export function textOfOddNumber(number: OddNumber): string {
  return number[ODD]
}

export function isOddNumber(value: unknown): value is OddNumber {
  return typeof value === 'object' && value !== null && ODD in value
}

/** Whether `value` is a JSON object: not null, no array, no odd number. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(ODD in value)
}

/** Sets a member as JSON means it: a key named `__proto__` is a key like any other. */
export function setMember(object: JsonObject, key: string, value: JsonValue): void {
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
}
