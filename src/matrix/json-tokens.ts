/**
 * The smallest parts of JSON text: the characters that a reader compares with, and what a number or a string means.
 */
import { UNLIMITED } from './read-limits.ts'
import { makeOddNumber } from './json-value.ts'
import type { OddNumber } from './json-value.ts'

export const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c]
export const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Sticky: what stands at `lastIndex`. */
export const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const INTEGER = /^(?:0|-?[1-9][0-9]{0,15})$/
export const LONE_SURROGATE = /\p{Surrogate}/u
// With its quotes. V8 makes longer slices pointers into the text; what `JSON.parse` makes stands by itself.
export const LONGEST_COPIED_SLICE = 14

export function numberOf(text: string): number | OddNumber {
  const result = Number(text)
  return INTEGER.test(text) && Number.isSafeInteger(result) ? result : makeOddNumber(text)
}

/** Null: it has a bad escape or a control character. */
export function unquoted(quoted: string): string | null {
  try {
    return JSON.parse(quoted) as string
  } catch {
    return null
  }
}

/** Where `character` stands next; where it does not any more, behind every text. */
export function firstOf(text: string, character: string, from: number): number {
  const found = text.indexOf(character, from)
  return found < 0 ? UNLIMITED : found
}
