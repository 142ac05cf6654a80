/**
 * Text that a person can read in 100 columns: tables, ages, and names cut in the middle.
 *
 * Promise: no line is wider than asked, and nothing that came from elsewhere (names, error texts) reaches
 * the terminal with control characters in it.
 */
export const WIDTH = 100
const GAP = 2

export interface Column<Row> {
  title: string
  value: (row: Row) => string | number | null
  /** Numbers stand at the right. */
  right?: boolean
  /** Gives way, down to this many characters, where the table would be too wide. */
  shrinkTo?: number
}

/** A table with its titles; a null is a dash. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], width = WIDTH): string {
  const cells = rows.map((row) => columns.map(({ value }) => cell(value(row))))
  const lines = [columns.map(({ title }) => title), ...cells]
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => lengthOf(line[index] ?? ''))))
  const most = width - GAP * (columns.length - 1)
  for (const [index, { shrinkTo }] of columns.entries()) {
    const over = widths.reduce((sum, one) => sum + one, 0) - most
    const now = widths[index] ?? 0
    if (over > 0 && shrinkTo !== undefined) widths[index] = Math.max(Math.min(now, shrinkTo), now - over)
  }
  return lines
    .map((line) =>
      line
        .map((text, index) => pad(cut(text, widths[index] ?? 0), widths[index] ?? 0, columns[index]?.right))
        .join(' '.repeat(GAP))
        .trimEnd(),
    )
    .join('\n')
}

/** Names and values below each other. */
export function facts(pairs: readonly (readonly [name: string, value: string | number | null])[]): string {
  const width = Math.max(...pairs.map(([name]) => name.length))
  return pairs
    .map(([name, value]) => wrap(`${name.padEnd(width + GAP)}${cell(value)}`, width + GAP))
    .join('\n')
}

/** `text` in lines of at most `width`, all but the first indented. A word that is too long is cut in the middle. */
export function wrap(text: string, indent: number, width = WIDTH): string {
  const lines: string[] = []
  let line = ''
  for (const word of plain(text).split(/(?<= )(?=[^ ])/)) {
    if (line.trim() !== '' && lengthOf((line + word).trimEnd()) > width) {
      lines.push(line.trimEnd())
      line = ' '.repeat(indent)
    }
    line += lengthOf(word) > width - indent ? cut(word, width - indent) : word
  }
  return [...lines, line.trimEnd()].join('\n')
}

/** At most `width` characters of `text`: what is too long loses its middle. */
export function cut(text: string, width: number): string {
  const letters = Array.from(text)
  if (letters.length <= width) return text
  const head = Math.ceil((width - 1) / 2)
  return `${letters.slice(0, head).join('')}…${letters.slice(letters.length - (width - 1 - head)).join('')}`
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
] as const

/** A length of time (ms) in its largest unit: `45s`, `3m`, `2h`, `9d`. */
export function ageText(ms: number | null): string | null {
  if (ms === null) return null
  const [unit, size] = UNITS.find(([, least]) => ms >= least) ?? (['s', 1000] as const)
  return `${Math.max(0, Math.floor(ms / size))}${unit}`
}

/** How long ago, or how soon (`in 3m`), a moment is. */
export function distance(at: number | null, now: number): string | null {
  if (at === null) return null
  return at > now ? `in ${ageText(at - now) ?? ''}` : `${ageText(now - at) ?? ''} ago`
}

/** A moment as UTC to the second. */
export const moment = (at: number | null) =>
  at === null
    ? null
    : new Date(at)
        .toISOString()
        .replace('T', ' ')
        .replace(/\.\d+Z$/, '')

const cell = (value: string | number | null) =>
  value === null ? '-' : typeof value === 'number' ? value.toLocaleString('en-US') : plain(value)

// Control and format characters could move the cursor or turn the direction of the text.
const plain = (text: string) => text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '�')

const lengthOf = (text: string) => Array.from(text).length

const pad = (text: string, width: number, right = false) =>
  right ? ' '.repeat(width - lengthOf(text)) + text : text + ' '.repeat(width - lengthOf(text))
