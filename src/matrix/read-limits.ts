/**
 * How much of one JSON document is read before it is refused, and what reading it costs.
 *
 * A few bytes of nesting or of many small values could hold up the process. No event of a valid size (65,536 bytes)
 * reaches any of these limits: it has at most 32,768 values.
 */
import type { JsonValue } from './json-value.ts'

export interface ReadLimits {
  /** Objects and arrays within each other. */
  readonly depth: number
  /** Values of every kind in the document, those within elements that are handed out aside. */
  readonly values: number
  /** Values, and characters as they are written, of one element that is handed out. */
  readonly elementValues: number
  readonly elementCharacters: number
  /** Characters of one string or number, as it is written. */
  readonly characters: number
}

/** No limit: longer than any string can be, and still a small integer for the engine, which is what makes it cheap. */
export const UNLIMITED = 2 ** 30 - 1

/** Objects and arrays within each other, in text of our own: far more than any real event has. */
export const MAX_DEPTH = 1000

/** Nested beyond this an event is odd: parsers of other servers stop at 100 to 128 levels, and then refuse everything that came with it. */
export const PLAIN_DEPTH = 100

export const TRUSTED: ReadLimits = {
  depth: MAX_DEPTH,
  values: UNLIMITED,
  elementValues: UNLIMITED,
  elementCharacters: UNLIMITED,
  characters: UNLIMITED,
}

/** For what comes in over HTTP. */
export const BODY_LIMITS: ReadLimits = {
  depth: 200,
  values: 65_536,
  elementValues: 65_536,
  elementCharacters: 2 * 1024 * 1024,
  // An event's longest string, each of its bytes escaped (\u0041).
  characters: 512 * 1024,
}

/** Reading a value costs about as much as reading this many characters. */
export const COST_OF_VALUE = 16

export interface JsonReader {
  /**
   * Reads on until that has cost `budget`. `paused`: there is more; `element`: `taken()` is the next one; `done`:
   * `taken()` is the document, without the elements that were handed out.
   * @throws JsonError
   */
  read(budget: number): 'paused' | 'element' | 'done'
  taken(): JsonValue
  /** What reading has cost so far: characters, and `COST_OF_VALUE` for each value. */
  spent(): number
  /** Values read so far. */
  values(): number
  /** Begins with another document, of bytes that are UTF-8. Only for a reader of bytes. */
  restart(bytes: Uint8Array): void
}
