/**
 * Reads JSON as every other homeserver will read it, or says where that is not possible.
 *
 * `JSON.parse` takes the last of two equal keys, lets lone surrogates through and rounds big numbers; then
 * two servers hash different events. Here the first two are errors and such numbers keep their text, so that
 * the code that knows the room version decides about them.
 *
 * Always: ends in a value or a `JsonError`, whatever the text; no string of the result keeps the memory of
 * the whole text alive (an id that outlives its request would otherwise pin 16 MiB).
 */
import { isUtf8 } from 'node:buffer'
import { JsonError, makeOddNumber, setMember } from './json-value.ts'
import type { JsonFault, JsonObject, JsonValue, OddNumber } from './json-value.ts'

/** Objects and arrays within each other: more than any real event has, far from the end of the stack. */
export const MAX_DEPTH = 1000

/**
 * Parses JSON text, or bytes that must be UTF-8.
 * @throws JsonError with the fault and its dotted path
 */
export function parseJson(input: string | Uint8Array): JsonValue {
  if (typeof input === 'string') return readDocument(input)
  if (!isUtf8(input)) throw new JsonError('syntax', [], 'not UTF-8')
  return readDocument(Buffer.from(input.buffer, input.byteOffset, input.byteLength).toString('utf8'))
}

const LONE_SURROGATE = /\p{Surrogate}/u
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const INTEGER = /^(?:0|-?[1-9][0-9]{0,15})$/
// With its quotes. V8 makes longer slices pointers into the text; what `JSON.parse` makes stands by itself.
const LONGEST_COPIED_SLICE = 14

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c]
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]

function readDocument(text: string): JsonValue {
  let at = 0
  // Where we are, for errors: the first `depth` entries.
  const path: (string | number)[] = []
  let depth = 0

  const document = value()
  skipSpace()
  return at < text.length ? unexpected() : document

  function value(): JsonValue {
    switch (skipSpace()) {
      case QUOTE:
        return string()
      case OPEN_OBJECT:
        return object()
      case OPEN_ARRAY:
        return array()
      case 0x74:
        return word('true', true)
      case 0x66:
        return word('false', false)
      case 0x6e:
        return word('null', null)
      default:
        return number()
    }
  }

  function object(): JsonObject {
    const result: JsonObject = {}
    const level = enter()
    if (skipSpace() === CLOSE_OBJECT) return leave(level, result)
    for (;;) {
      if (skipSpace() !== QUOTE) unexpected()
      const key = string()
      path[level] = key
      depth = level + 1
      if (Object.hasOwn(result, key)) fail('duplicate key', 'the same key twice')
      if (skipSpace() !== COLON) unexpected()
      at++
      setMember(result, key, value())
      depth = level
      const code = skipSpace()
      if (code === CLOSE_OBJECT) return leave(level, result)
      if (code !== COMMA) unexpected()
      at++
    }
  }

  function array(): JsonValue[] {
    const result: JsonValue[] = []
    const level = enter()
    if (skipSpace() === CLOSE_ARRAY) return leave(level, result)
    for (;;) {
      path[level] = result.length
      depth = level + 1
      result.push(value())
      depth = level
      const code = skipSpace()
      if (code === CLOSE_ARRAY) return leave(level, result)
      if (code !== COMMA) unexpected()
      at++
    }
  }

  function enter(): number {
    if (depth === MAX_DEPTH) fail('too deep', `nested deeper than ${MAX_DEPTH}`)
    at++
    return depth
  }

  function leave<T>(level: number, result: T): T {
    depth = level
    at++
    return result
  }

  function string(): string {
    const start = at
    let plain = true
    for (let code = text.charCodeAt(++at); code !== QUOTE; code = text.charCodeAt(++at)) {
      // The first test is false for NaN too, which is what stands behind the end of the text.
      if (!(code >= 0x20)) fail('syntax', 'a string that does not end')
      if (code === BACKSLASH) at++
      if (code === BACKSLASH || code >= 0xd800) plain = false
    }
    at++
    if (plain && at - start <= LONGEST_COPIED_SLICE) return text.slice(start + 1, at - 1)
    const result = unquote(text.slice(start, at))
    if (!plain && LONE_SURROGATE.test(result)) fail('lone surrogate', 'a lone surrogate')
    return result
  }

  function unquote(quoted: string): string {
    try {
      return JSON.parse(quoted) as string
    } catch {
      return fail('syntax', 'a bad escape in a string')
    }
  }

  function number(): number | OddNumber {
    NUMBER.lastIndex = at
    const found = NUMBER.exec(text)?.[0]
    if (found === undefined) return unexpected()
    at += found.length
    const result = Number(found)
    return INTEGER.test(found) && Number.isSafeInteger(result) ? result : makeOddNumber(found)
  }

  function word<T>(spelling: string, result: T): T {
    if (!text.startsWith(spelling, at)) unexpected()
    at += spelling.length
    return result
  }

  /** Moves to the next character that counts and returns its code. */
  function skipSpace(): number {
    let code = text.charCodeAt(at)
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++at)
    return code
  }

  function unexpected(): never {
    return fail('syntax', at < text.length ? `unexpected character (offset ${at})` : 'unexpected end')
  }

  function fail(fault: JsonFault, what: string): never {
    throw new JsonError(fault, path.slice(0, depth), what)
  }
}
