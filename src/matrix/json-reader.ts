/**
 * Reads one JSON document strictly (as `strict-json.ts` defines it), at once or in pieces.
 *
 * A reader can pause before any value and go on later, so that a large body does not hold up the process. It can pass
 * on the elements of one list one by one, so that the whole list is never in memory. Bytes become text a little at a
 * time. It needs no stack: depth is a limit like any other, and every limit is checked before memory is taken.
 */
import { beginAnew, jsonTextOf, number, skipSpace, string, unexpected, word } from './json-text.ts'
import { CLOSE_ARRAY, CLOSE_OBJECT, COLON, COMMA, OPEN_ARRAY, OPEN_OBJECT, QUOTE } from './json-tokens.ts'
import { JsonError, setMember } from './json-value.ts'
import type { JsonFault, JsonObject, JsonValue } from './json-value.ts'
import { COST_OF_VALUE } from './read-limits.ts'
import type { JsonReader, ReadLimits } from './read-limits.ts'

/**
 * A reader of text, or of bytes that are known to be UTF-8. `handOut`: the member of the document whose elements are
 * handed out, if it is a list.
 */
export function makeJsonReader(
  source: string | Uint8Array,
  limits: ReadLimits,
  handOut: string | null = null,
): JsonReader {
  const w = jsonTextOf(source, limits, fail)

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
  let taken: JsonValue = null
  /** A value that was read while an element was handed out: the next call puts it where it belongs. */
  let behind: JsonValue | undefined

  const spent = () => w.dropped + w.at + values * COST_OF_VALUE

  return { read, taken: () => taken, spent, values: () => values, restart }

  function restart(others: Uint8Array): void {
    beginAnew(w, others)
    depth = elements = values = 0
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
        if (w.dropped + w.at + values * COST_OF_VALUE >= end) return 'paused'
        if (++values > mostValues) tooManyValues()
        const code = skipSpace(w)
        if (code === QUOTE) value = string(w)
        else if (code === OPEN_OBJECT) {
          enter()
          value = {}
          if (skipSpace(w) !== CLOSE_OBJECT) {
            open[depth] = value
            key(value, depth++)
            continue
          }
          w.at++
        } else if (code === OPEN_ARRAY) {
          enter()
          value = []
          if (skipSpace(w) !== CLOSE_ARRAY) {
            if (depth === 1 && path[0] === handOut) {
              handed = value
              beginElement()
            }
            open[depth] = value
            path[depth++] = 0
            continue
          }
          w.at++
        } else if (code === 0x74) value = word(w, 'true', true)
        else if (code === 0x66) value = word(w, 'false', false)
        else if (code === 0x6e) value = word(w, 'null', null)
        else value = number(w)
      }
      // Put where it belongs, and with it every container that ends here.
      for (;;) {
        if (depth === 0) {
          skipSpace(w)
          if (w.at < w.text.length) unexpected(w)
          taken = value
          return 'done'
        }
        const level = depth - 1
        const parent = open[level] as JsonObject | JsonValue[]
        if (!Array.isArray(parent)) {
          setMember(parent, path[level] as string, value)
          const code = skipSpace(w)
          if (code === COMMA) {
            w.at++
            key(parent, level)
            break
          }
          if (code !== CLOSE_OBJECT) unexpectedIn(level)
        } else if (parent !== handed) {
          path[level] = parent.push(value)
          const code = skipSpace(w)
          if (code === COMMA) {
            w.at++
            break
          }
          if (code !== CLOSE_ARRAY) unexpectedIn(level)
        } else {
          taken = value
          const code = skipSpace(w)
          if (code !== COMMA && code !== CLOSE_ARRAY) unexpectedIn(level)
          w.at++
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
        w.at++
        depth = level
        value = parent
      }
    }
  }

  function beginElement(): void {
    if (!inElement) outside = mostValues - values
    inElement = true
    mostValues = values + limits.elementValues
    w.elementBegan = w.dropped + w.at
  }

  /** Reads the key of the next member and its colon. */
  function key(object: JsonObject, level: number): void {
    depth = level
    if (skipSpace(w) !== QUOTE) unexpected(w)
    const name = string(w)
    path[level] = name
    depth = level + 1
    if (Object.hasOwn(object, name)) fail('duplicate key', 'the same key twice')
    if (skipSpace(w) !== COLON) unexpected(w)
    w.at++
  }

  function enter(): void {
    if (depth === limits.depth) fail('too deep', `nested deeper than ${limits.depth}`)
    w.at++
  }

  function tooManyValues(): never {
    if (inElement) return fail('too large', `more than ${limits.elementValues} values`)
    depth = 0
    return fail('too large', `more than ${limits.values} values`)
  }

  function unexpectedIn(level: number): never {
    depth = level
    unexpected(w)
  }

  function fail(fault: JsonFault, what: string): never {
    throw new JsonError(fault, path.slice(0, depth), what)
  }
}
