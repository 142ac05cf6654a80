/**
 * The text of one JSON document, and what comes next in it: a string, a number, a word. Bytes become text a little at
 * a time, and what has been read is forgotten. These are functions and not methods, so that the engine knows what each
 * works on.
 */
import {
  BACKSLASH,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COMMA,
  LONE_SURROGATE,
  LONGEST_COPIED_SLICE,
  NUMBER,
  QUOTE,
  firstOf,
  numberOf,
  unquoted,
} from './json-tokens.ts'
import type { JsonFault, OddNumber } from './json-value.ts'
import { UNLIMITED } from './read-limits.ts'
import type { ReadLimits } from './read-limits.ts'

/** Bytes that become text at once. Text that is not ASCII takes its time: 16 MiB up to 0.2 s. */
const WINDOW_BYTES = 64 * 1024
/** Longer than any word. */
const LOOKAHEAD = 16
/** A number that ends so near to the end of the window may go on behind it: `1.`, `1e+`. */
const NUMBER_TAIL = 3

export interface JsonCursor {
  /** Null: all of it is text. */
  bytes: Buffer | null
  nextByte: number
  text: string
  at: number
  /** Characters before `text`. */
  dropped: number
  /** Where the next backslash is: strings before it are as they are written. */
  slash: number
  /** From here on the window may end within a word. */
  soon: number
  /** Where the element began that `elementCharacters` limits. */
  elementBegan: number
  /** In text there may be half a surrogate pair, in UTF-8 there is none that is not escaped. */
  readonly mayBeLone: boolean
  readonly limits: ReadLimits
  readonly fail: (fault: JsonFault, what: string) => never
}

export function jsonTextOf(
  source: string | Uint8Array,
  limits: ReadLimits,
  fail: (fault: JsonFault, what: string) => never,
): JsonCursor {
  const isText = typeof source === 'string'
  return {
    bytes: isText ? null : bufferOf(source),
    nextByte: 0,
    text: isText ? source : '',
    at: 0,
    dropped: 0,
    slash: -1,
    soon: isText ? UNLIMITED : -1,
    elementBegan: 0,
    mayBeLone: isText,
    limits,
    fail,
  }
}

/** Begins with another document, of bytes. */
export function beginAnew(w: JsonCursor, bytes: Uint8Array): void {
  w.bytes = bufferOf(bytes)
  w.nextByte = w.at = w.dropped = w.elementBegan = 0
  w.text = ''
  w.slash = w.soon = -1
}

export function string(w: JsonCursor): string {
  const end = w.text.indexOf('"', w.at + 1)
  if (w.slash < w.at) w.slash = firstOf(w.text, '\\', w.at)
  if (end < 0 || w.slash < end || w.mayBeLone) return oddString(w)
  const start = w.at
  const length = end + 1 - start
  if (length > w.limits.characters) tooLong(w)
  w.at = end + 1
  if (length > LONGEST_COPIED_SLICE) return unquote(w, w.text.slice(start, w.at))
  for (let here = start + 1; here < end; here++) if (w.text.charCodeAt(here) < 0x20) badString(w)
  return w.text.slice(start + 1, end)
}

/** One with escapes, or that goes on behind the window. */
function oddString(w: JsonCursor): string {
  let start = w.at
  let plain = true
  for (;;) {
    const code = w.text.charCodeAt(++w.at)
    if (code === QUOTE) break
    if (code >= 0x20) {
      if (code === BACKSLASH) w.at++
      if (code === BACKSLASH || code >= 0xd800) plain = false
      continue
    }
    // A control character, or the end of the window, where there is no number at all.
    if (w.at < w.text.length || !more(w, start)) badString(w)
    w.at--
    start = 0
  }
  w.at++
  if (w.at - start > w.limits.characters) tooLong(w)
  if (plain && w.at - start <= LONGEST_COPIED_SLICE) return w.text.slice(start + 1, w.at - 1)
  const result = unquote(w, w.text.slice(start, w.at))
  if (!plain && LONE_SURROGATE.test(result)) w.fail('lone surrogate', 'a lone surrogate')
  return result
}

function badString(w: JsonCursor): never {
  w.fail('syntax', 'a string that does not end')
}

function unquote(w: JsonCursor, quoted: string): string {
  return unquoted(quoted) ?? w.fail('syntax', 'a bad escape in a string')
}

export function number(w: JsonCursor): number | OddNumber {
  return shortInteger(w) ?? anyNumber(w)
}

/** Nearly all of them: up to 15 digits, with something behind them that ends them. */
function shortInteger(w: JsonCursor): number | null {
  let here = w.at
  let code = w.text.charCodeAt(here)
  if (!(code > 0x30 && code <= 0x39)) return null
  let result = 0
  for (; code >= 0x30 && code <= 0x39; code = w.text.charCodeAt(++here)) result = result * 10 + (code - 0x30)
  if (here - w.at > 15 || (code !== COMMA && code !== CLOSE_OBJECT && code !== CLOSE_ARRAY)) return null
  w.at = here
  return result
}

function anyNumber(w: JsonCursor): number | OddNumber {
  for (;;) {
    NUMBER.lastIndex = w.at
    const found = NUMBER.exec(w.text)?.[0]
    if (found === undefined) return unexpected(w)
    if (w.at + found.length + NUMBER_TAIL > w.text.length && more(w, w.at)) continue
    if (found.length > w.limits.characters) tooLong(w)
    w.at += found.length
    return numberOf(found)
  }
}

export function word<T>(w: JsonCursor, spelling: string, result: T): T {
  if (!w.text.startsWith(spelling, w.at)) unexpected(w)
  w.at += spelling.length
  return result
}

/** Moves to the next character that counts and returns its code. */
export function skipSpace(w: JsonCursor): number {
  let here = w.at
  let code = w.text.charCodeAt(here)
  while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = w.text.charCodeAt(++here)
  w.at = here
  return here < w.soon ? code : skipOn(w, code)
}

/** The same where the window may end within a word. */
function skipOn(w: JsonCursor, code: number): number {
  if (w.at >= w.text.length) skipBytes(w)
  return more(w, w.at) ? skipSpace(w) : code
}

/** Spaces need not become text. */
function skipBytes(w: JsonCursor): void {
  if (w.bytes === null) return
  const from = w.nextByte
  for (let code = w.bytes[w.nextByte]; code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;)
    code = w.bytes[++w.nextByte]
  w.dropped += w.nextByte - from
  w.elementBegan += w.nextByte - from
}

/** Adds to the window and forgets what is before `from`. False: there is no more. */
function more(w: JsonCursor, from: number): boolean {
  if (w.bytes === null || w.nextByte >= w.bytes.length) {
    w.soon = UNLIMITED
    return false
  }
  if (w.text.length - from > w.limits.characters) tooLong(w)
  if (w.dropped + from - w.elementBegan > w.limits.elementCharacters)
    w.fail('too large', `more than ${w.limits.elementCharacters} characters`)
  let to = Math.min(w.nextByte + WINDOW_BYTES, w.bytes.length)
  // Not within a character: its later bytes are 10xxxxxx.
  while (to < w.bytes.length && ((w.bytes[to] ?? 0) & 0xc0) === 0x80) to--
  // Decoded again together, not put together: the engine takes longer for each character of a text that was joined.
  w.text = w.bytes.toString('utf8', w.nextByte - Buffer.byteLength(w.text.slice(from)), to)
  w.nextByte = to
  w.dropped += from
  w.at -= from
  w.slash = -1
  w.soon = to < w.bytes.length ? w.text.length - LOOKAHEAD : UNLIMITED
  return true
}

function tooLong(w: JsonCursor): never {
  w.fail('too large', `a string or number of more than ${w.limits.characters} characters`)
}

export function unexpected(w: JsonCursor): never {
  w.fail(
    'syntax',
    w.at < w.text.length ? `unexpected character (offset ${w.dropped + w.at})` : 'unexpected end',
  )
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)
