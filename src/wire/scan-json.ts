/**
 * Finds members of JSON text without parsing the rest of it. Pure.
 *
 * The sender of a text chooses what `JSON.parse` makes of it: hundreds of thousands of objects, keys whose hashes
 * collide, nesting as deep as the text is long. Here the bytes are walked through once, nothing is built that was not
 * asked for, and a level of nesting costs one byte. Always: it accepts and refuses the same texts as `JSON.parse`, and
 * of two equal keys the last one counts, as there. The time is linear in the text, whatever it contains.
 */

/** UTF-8; what is not is read as U+FFFD, as everywhere. */
export type JsonBytes = Buffer

const [QUOTE, COMMA, COLON, BACKSLASH, MINUS, DOT] = [0x22, 0x2c, 0x3a, 0x5c, 0x2d, 0x2e]
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]
const [ZERO, NINE] = [0x30, 0x39]
const WORDS = ['true', 'false', 'null'].map((word) => Buffer.from(word))
const AFTER_BACKSLASH = new Set(Buffer.from('"\\/bfnrt'))

/** Names that are looked for, ready to be compared. */
export interface Names {
  readonly all: ReadonlySet<string>
  /** How many bytes they have. */
  readonly lengths: ReadonlySet<number>
  readonly longest: number
}

export function namesOf(names: Iterable<string>): Names {
  const all = new Set(names)
  const lengths = new Set([...all].map((name) => Buffer.byteLength(name)))
  return { all, lengths, longest: Math.max(0, ...lengths) }
}

/** Where the values of members begin, by name. */
export type Members = ReadonlyMap<string, number>

/** Of the one object that `text` is, the members with these names; null: it is something else, or not JSON. */
export function membersOf(text: JsonBytes, names: Names): Members | null {
  const object = scanObject(text, skipSpace(text, 0), names)
  return object !== null && skipSpace(text, object.end) === text.length ? object.members : null
}

/** The same for the value at `at` of a text that is known to be JSON. */
export function membersAt(text: JsonBytes, at: number, names: Names): Members | null {
  return scanObject(text, at, names)?.members ?? null
}

/** The string or the number at `at` of a text that is known to be JSON; null: it is something else. */
export function plainAt(text: JsonBytes, at: number): string | number | null {
  const code = text[at] ?? 0
  if (code === QUOTE) return unquote(text, at, skipString(text, at))
  return isDigit(code) || code === MINUS ? Number(text.toString('latin1', at, skipNumber(text, at))) : null
}

export const isNullAt = (text: JsonBytes, at: number): boolean => text[at] === 0x6e

/** The string whose quotes stand at `at` and before `end`. */
function unquote(text: JsonBytes, at: number, end: number): string {
  if (hasEscape(text, at, end)) return JSON.parse(text.toString('utf8', at, end)) as string
  return text.toString('utf8', at + 1, end - 1)
}

function scanObject(text: JsonBytes, start: number, names: Names): { members: Members; end: number } | null {
  if (text[start] !== OPEN_OBJECT) return null
  const members = new Map<string, number>()
  let at = skipSpace(text, start + 1)
  if (text[at] === CLOSE_OBJECT) return { members, end: at + 1 }
  for (;;) {
    const value = skipKey(text, at)
    if (value < 0) return null
    const name = nameOf(text, skipSpace(text, at), names)
    if (name !== null) members.set(name, value)
    const end = skipValue(text, value)
    if (end < 0) return null
    at = skipSpace(text, end)
    const code = text[at]
    if (code === CLOSE_OBJECT) return { members, end: at + 1 }
    if (code !== COMMA) return null
    at += 1
  }
}

/** Which of `names` the key at `at` is. */
function nameOf(text: JsonBytes, at: number, { all, lengths, longest }: Names): string | null {
  const end = skipString(text, at)
  const length = end - at - 2
  const plain = lengths.has(length)
  // With escapes it is up to six times as long as what it says.
  if (!plain && (length > 6 * longest || !hasEscape(text, at, end))) return null
  const name = unquote(text, at, end)
  return all.has(name) ? name : null
}

function hasEscape(text: JsonBytes, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (text[at] === BACKSLASH) return true
  return false
}

// What follows returns the place behind what it skips, or -1 where the text is not JSON there.

function skipValue(text: JsonBytes, start: number): number {
  /** What ends the objects and arrays that are open: the first `depth` of it. */
  let open = new Uint8Array(64)
  let depth = 0
  let at = start
  for (;;) {
    const code = text[at] ?? 0
    if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      const close = code === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY
      at = skipSpace(text, at + 1)
      if (text[at] !== close) {
        if (depth === open.length) open = grown(open)
        open[depth++] = close
        if (close === CLOSE_OBJECT) at = skipKey(text, at)
        if (at < 0) return -1
        continue
      }
      at += 1
    } else at = skipPlain(text, at, code)
    if (at < 0) return -1
    // A value has ended; with it may end what it is in.
    for (;;) {
      if (depth === 0) return at
      const close = open[depth - 1]
      at = skipSpace(text, at)
      const next = text[at]
      at += 1
      if (next === close) depth -= 1
      else if (next !== COMMA) return -1
      else {
        at = close === CLOSE_OBJECT ? skipKey(text, at) : skipSpace(text, at)
        break
      }
    }
    if (at < 0) return -1
  }
}

function grown(small: Uint8Array): Uint8Array<ArrayBuffer> {
  const large = new Uint8Array(small.length * 4)
  large.set(small)
  return large
}

/** To the value behind a key and its colon. */
function skipKey(text: JsonBytes, start: number): number {
  const at = skipSpace(text, start)
  if (text[at] !== QUOTE) return -1
  const end = skipString(text, at)
  if (end < 0) return -1
  const colon = skipSpace(text, end)
  return text[colon] === COLON ? skipSpace(text, colon + 1) : -1
}

function skipPlain(text: JsonBytes, at: number, code: number): number {
  if (code === QUOTE) return skipString(text, at)
  if (code === MINUS || isDigit(code)) return skipNumber(text, at)
  const word = WORDS.find((one) => one[0] === code)
  if (word === undefined) return -1
  for (let i = 1; i < word.length; i++) if (text[at + i] !== word[i]) return -1
  return at + word.length
}

function skipString(text: JsonBytes, start: number): number {
  for (let at = start + 1; ; at++) {
    // Behind the end of the text: a character that no string has.
    const code = text[at] ?? 0
    if (code === QUOTE) return at + 1
    if (code < 0x20) return -1
    if (code === BACKSLASH) {
      at = skipEscape(text, at)
      if (at < 0) return -1
    }
  }
}

/** To the last byte of the escape that begins at `at`. */
function skipEscape(text: JsonBytes, at: number): number {
  const kind = text[at + 1] ?? 0
  if (kind !== 0x75) return AFTER_BACKSLASH.has(kind) ? at + 1 : -1
  for (let i = at + 2; i < at + 6; i++) if (!isHex(text[i] ?? 0)) return -1
  return at + 5
}

function skipNumber(text: JsonBytes, start: number): number {
  let at = text[start] === MINUS ? start + 1 : start
  if (!isDigit(text[at] ?? 0)) return -1
  at = text[at] === ZERO ? at + 1 : skipDigits(text, at)
  if (text[at] === DOT) {
    if (!isDigit(text[at + 1] ?? 0)) return -1
    at = skipDigits(text, at + 1)
  }
  if (((text[at] ?? 0) | 0x20) !== 0x65) return at
  const sign = text[at + 1]
  at += sign === MINUS || sign === 0x2b ? 2 : 1
  return isDigit(text[at] ?? 0) ? skipDigits(text, at) : -1
}

function skipDigits(text: JsonBytes, start: number): number {
  let at = start
  while (isDigit(text[at] ?? 0)) at++
  return at
}

function skipSpace(text: JsonBytes, start: number): number {
  let at = start
  let code = text[at]
  while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text[++at]
  return at
}

const isDigit = (code: number): boolean => code >= ZERO && code <= NINE

const isHex = (code: number): boolean => {
  const letter = code | 0x20
  return isDigit(code) || (letter >= 0x61 && letter <= 0x66)
}
