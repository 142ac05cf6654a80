/**
 * Reads one JSON document strictly (what that means, `strict-json.ts` says), in one go or in pieces.
 *
 * A reader can pause before any value and go on later, so that a large body does not hold up the process. It can hand
 * out the elements of one list one by one, so that the whole of it is never in memory. Bytes become text a little at a
 * time. It needs no stack: depth is a limit like any other, and all of them are checked before memory is taken.
 */
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  LONE_SURROGATE,
  LONGEST_COPIED_SLICE,
  NUMBER,
  OPEN_ARRAY,
  OPEN_OBJECT,
  QUOTE,
  firstOf,
  numberOf,
  unquoted,
} from './json-tokens.ts'
import { JsonError, setMember } from './json-value.ts'
import type { JsonFault, JsonObject, JsonValue, OddNumber } from './json-value.ts'
import { COST_OF_VALUE, UNLIMITED } from './read-limits.ts'
import type { JsonReader, ReadLimits } from './read-limits.ts'

/** Bytes that become text at once. Text that is not ASCII takes its time: 16 MiB up to 0.2 s. */
const WINDOW_BYTES = 64 * 1024
/** Longer than any word. */
const LOOKAHEAD = 16
/** A number that ends so near to the end of the window may go on behind it: `1.`, `1e+`. */
const NUMBER_TAIL = 3

/**
 * A reader of text, or of bytes that are known to be UTF-8. `handOut`: the member of the document whose elements are
 * handed out, if it is a list.
 */
export function makeJsonReader(
  source: string | Uint8Array,
  limits: ReadLimits,
  handOut: string | null = null,
): JsonReader {
  let bytes = typeof source === 'string' ? null : bufferOf(source)
  let nextByte = 0
  let text = typeof source === 'string' ? source : ''
  let at = 0
  /** Characters before `text`. */
  let gone = 0
  /** Where the next backslash is: strings before it are as they are written. */
  let slash = -1
  /** In text there may be half a surrogate pair, in UTF-8 there is none that is not escaped. */
  const mayBeLone = bytes === null
  /** From here on the window may end within a word. */
  let soon = bytes === null ? UNLIMITED : -1

  // The containers that are open, and where we are in each: the first `depth` entries.
  const open: (JsonObject | JsonValue[])[] = []
  const path: (string | number)[] = []
  let depth = 0
  /** The list whose elements are handed out, and how many were. */
  let handed: JsonValue[] | null = null
  let elements = 0
  let values = 0
  let mostValues = limits.values
  /** Of the values that may stand outside of elements, those that are left. */
  let outside = limits.values
  let inElement = false
  let elementBegan = 0
  let taken: JsonValue = null
  /** A value that was read while an element was handed out: the next call puts it where it belongs. */
  let behind: JsonValue | undefined

  const spent = () => gone + at + values * COST_OF_VALUE

  return { read, taken: () => taken, spent, values: () => values, restart }

  function restart(others: Uint8Array): void {
    bytes = bufferOf(others)
    nextByte = at = gone = depth = elements = values = elementBegan = 0
    text = ''
    slash = soon = -1
    handed = taken = null
    mostValues = outside = limits.values
    inElement = false
    behind = undefined
  }

  function read(budget: number): 'paused' | 'element' | 'done' {
    const end = spent() + budget
    for (;;) {
      let value: JsonValue
      if (behind !== undefined) {
        value = behind
        behind = undefined
      } else {
        if (gone + at + values * COST_OF_VALUE >= end) return 'paused'
        if (++values > mostValues) tooManyValues()
        const code = skipSpace()
        if (code === QUOTE) value = string()
        else if (code === OPEN_OBJECT) {
          enter()
          value = {}
          if (skipSpace() !== CLOSE_OBJECT) {
            open[depth] = value
            key(value, depth++)
            continue
          }
          at++
        } else if (code === OPEN_ARRAY) {
          enter()
          value = []
          if (skipSpace() !== CLOSE_ARRAY) {
            if (depth === 1 && path[0] === handOut) {
              handed = value
              beginElement()
            }
            open[depth] = value
            path[depth++] = 0
            continue
          }
          at++
        } else if (code === 0x74) value = word('true', true)
        else if (code === 0x66) value = word('false', false)
        else if (code === 0x6e) value = word('null', null)
        else value = number()
      }
      // Put where it belongs, and with it every container that ends here.
      for (;;) {
        if (depth === 0) {
          skipSpace()
          if (at < text.length) unexpected()
          taken = value
          return 'done'
        }
        const level = depth - 1
        const parent = open[level] as JsonObject | JsonValue[]
        if (!Array.isArray(parent)) {
          setMember(parent, path[level] as string, value)
          const code = skipSpace()
          if (code === COMMA) {
            at++
            key(parent, level)
            break
          }
          if (code !== CLOSE_OBJECT) unexpected(level)
        } else if (parent !== handed) {
          path[level] = parent.push(value)
          const code = skipSpace()
          if (code === COMMA) {
            at++
            break
          }
          if (code !== CLOSE_ARRAY) unexpected(level)
        } else {
          taken = value
          const code = skipSpace()
          if (code !== COMMA && code !== CLOSE_ARRAY) unexpected(level)
          at++
          path[level] = ++elements
          beginElement()
          if (code === COMMA) return 'element'
          depth = level
          handed = null
          inElement = false
          mostValues = values + outside
          behind = parent
          return 'element'
        }
        at++
        depth = level
        value = parent
      }
    }
  }

  function beginElement(): void {
    if (!inElement) outside = mostValues - values
    inElement = true
    mostValues = values + limits.elementValues
    elementBegan = gone + at
  }

  /** Reads the key of the next member and its colon. */
  function key(object: JsonObject, level: number): void {
    depth = level
    if (skipSpace() !== QUOTE) unexpected()
    const name = string()
    path[level] = name
    depth = level + 1
    if (Object.hasOwn(object, name)) fail('duplicate key', 'the same key twice')
    if (skipSpace() !== COLON) unexpected()
    at++
  }

  function enter(): void {
    if (depth === limits.depth) fail('too deep', `nested deeper than ${limits.depth}`)
    at++
  }

  function string(): string {
    const end = text.indexOf('"', at + 1)
    if (slash < at) slash = firstOf(text, '\\', at)
    if (end < 0 || slash < end || mayBeLone) return oddString()
    const start = at
    const length = end + 1 - start
    if (length > limits.characters) tooLong()
    at = end + 1
    if (length > LONGEST_COPIED_SLICE) return unquote(text.slice(start, at))
    for (let here = start + 1; here < end; here++) if (text.charCodeAt(here) < 0x20) badString()
    return text.slice(start + 1, end)
  }

  /** One with escapes, or that goes on behind the window. */
  function oddString(): string {
    let start = at
    let plain = true
    for (;;) {
      const code = text.charCodeAt(++at)
      if (code === QUOTE) break
      if (code >= 0x20) {
        if (code === BACKSLASH) at++
        if (code === BACKSLASH || code >= 0xd800) plain = false
        continue
      }
      // A control character, or the end of the window, where there is no number at all.
      if (at < text.length || !more(start)) badString()
      at--
      start = 0
    }
    at++
    if (at - start > limits.characters) tooLong()
    if (plain && at - start <= LONGEST_COPIED_SLICE) return text.slice(start + 1, at - 1)
    const result = unquote(text.slice(start, at))
    if (!plain && LONE_SURROGATE.test(result)) fail('lone surrogate', 'a lone surrogate')
    return result
  }

  function badString(): never {
    fail('syntax', 'a string that does not end')
  }

  function unquote(quoted: string): string {
    return unquoted(quoted) ?? fail('syntax', 'a bad escape in a string')
  }

  function number(): number | OddNumber {
    return shortInteger() ?? anyNumber()
  }

  /** Nearly all of them: up to 15 digits, with something behind them that ends them. */
  function shortInteger(): number | null {
    let here = at
    let code = text.charCodeAt(here)
    if (!(code > 0x30 && code <= 0x39)) return null
    let result = 0
    for (; code >= 0x30 && code <= 0x39; code = text.charCodeAt(++here)) result = result * 10 + (code - 0x30)
    if (here - at > 15 || (code !== COMMA && code !== CLOSE_OBJECT && code !== CLOSE_ARRAY)) return null
    at = here
    return result
  }

  function anyNumber(): number | OddNumber {
    for (;;) {
      NUMBER.lastIndex = at
      const found = NUMBER.exec(text)?.[0]
      if (found === undefined) return unexpected()
      if (at + found.length + NUMBER_TAIL > text.length && more(at)) continue
      if (found.length > limits.characters) tooLong()
      at += found.length
      return numberOf(found)
    }
  }

  function word<T>(spelling: string, result: T): T {
    if (!text.startsWith(spelling, at)) unexpected()
    at += spelling.length
    return result
  }

  /** Moves to the next character that counts and returns its code. */
  function skipSpace(): number {
    let here = at
    let code = text.charCodeAt(here)
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++here)
    at = here
    return here < soon ? code : skipOn(code)
  }

  /** The same where the window may end within a word. */
  function skipOn(code: number): number {
    if (at >= text.length) skipBytes()
    return more(at) ? skipSpace() : code
  }

  /** Spaces need not become text. */
  function skipBytes(): void {
    if (bytes === null) return
    const from = nextByte
    for (let code = bytes[nextByte]; code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;)
      code = bytes[++nextByte]
    gone += nextByte - from
    elementBegan += nextByte - from
  }

  /** Adds to the window and forgets what is before `from`. False: there is no more. */
  function more(from: number): boolean {
    if (bytes === null || nextByte >= bytes.length) {
      soon = UNLIMITED
      return false
    }
    if (text.length - from > limits.characters) tooLong()
    if (gone + from - elementBegan > limits.elementCharacters)
      fail('too large', `more than ${limits.elementCharacters} characters`)
    let to = Math.min(nextByte + WINDOW_BYTES, bytes.length)
    // Not within a character: its later bytes are 10xxxxxx.
    while (to < bytes.length && ((bytes[to] ?? 0) & 0xc0) === 0x80) to--
    // Decoded again together, not put together: the engine takes longer for each character of a text that was joined.
    text = bytes.toString('utf8', nextByte - Buffer.byteLength(text.slice(from)), to)
    nextByte = to
    gone += from
    at -= from
    slash = -1
    soon = to < bytes.length ? text.length - LOOKAHEAD : UNLIMITED
    return true
  }

  function tooManyValues(): never {
    if (inElement) return fail('too large', `more than ${limits.elementValues} values`)
    depth = 0
    return fail('too large', `more than ${limits.values} values`)
  }

  function tooLong(): never {
    return fail('too large', `a string or number of more than ${limits.characters} characters`)
  }

  function unexpected(level = depth): never {
    depth = level
    const what = at < text.length ? `unexpected character (offset ${gone + at})` : 'unexpected end'
    return fail('syntax', what)
  }

  function fail(fault: JsonFault, what: string): never {
    throw new JsonError(fault, path.slice(0, depth), what)
  }
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)
