/**
 * Sentences, and names with values, in lines that fit.
 *
 * Promise: nothing is left out. A line is wider than asked only where it is one of the `ids` that may not be broken,
 * and nothing else; and nothing that came from elsewhere has control characters in it.
 */
import { broken, lengthOf, plain } from './letters.ts'
import type { Screen } from '../screen.ts'
import { numberText } from './ages.ts'

/** Between columns. */
export const GAP = 2
/** Of what stands below a row. */
export const INDENT = 4

/**
 * `text` in lines of at most `width`, all but the first indented. A word that is too long is broken; one with an id in it
 * stays in one piece, on a line of its own.
 */
export function wrap(text: string, indent: number, width: number, ids: readonly string[] = []): string {
  const whole = ids.filter((id) => id !== '').map(plain)
  const lines: string[] = []
  let line = ''
  const place = (word: string) => {
    if (line.trim() !== '' && lengthOf((line + word).trimEnd()) > width) {
      lines.push(line.trimEnd())
      line = ' '.repeat(indent)
    }
    // As far in as it can be.
    const over = lengthOf((line + word).trimEnd()) - width
    if (line.trim() === '' && over > 0) line = line.slice(Math.min(line.length, over))
    line += word
  }
  for (const word of plain(text).split(/(?<= )(?=[^ ])/)) {
    const isTooLong = lengthOf(word.trimEnd()) > width - indent
    if (!isTooLong || whole.some((id) => word.includes(id))) place(word)
    else for (const piece of broken(word, width - indent)) place(piece)
  }
  return [...lines, line.trimEnd()].join('\n')
}

/** Behind a longer one, its value does not stand below the others. */
const MOST_OF_A_NAME = 40

/** Marks what another command takes. */
export interface Id {
  readonly id: string
}

export type Fact = readonly [name: string, value: string | number | Id | null]

/** Names and values below each other; `ids`: what in the values' sentences stays in one piece. */
export function facts(
  pairs: readonly Fact[],
  { width }: Pick<Screen, 'width'>,
  ids: readonly string[] = [],
): string {
  const room = Math.min(MOST_OF_A_NAME, Math.max(...pairs.map(([name]) => lengthOf(plain(name)))))
  return pairs
    .map(([name, value]) => {
      const own = typeof value === 'object' && value !== null ? [value.id] : []
      const start = plain(name) + ' '.repeat(Math.max(GAP, room + GAP - lengthOf(plain(name))))
      const shown = cell(typeof value === 'object' ? (value?.id ?? null) : value)
      return wrap(start + shown, room + GAP, width, [...own, ...ids])
    })
    .join('\n')
}

/** A value in a table or a fact; a null is a dash. */
export const cell = (value: string | number | null) =>
  value === null ? '-' : typeof value === 'number' ? numberText(value) : plain(value)

/** A sentence below a row. */
export const remark = (text: string, { width }: Pick<Screen, 'width'>, ids: readonly string[] = []) =>
  wrap(' '.repeat(INDENT) + text, INDENT, width, ids)
