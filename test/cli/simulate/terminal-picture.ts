/**
 * What a terminal shows of what it was sent, as an SVG: text in a monospaced font on a dark ground, with nothing from
 * elsewhere and no scripts, so that a page can show it as an image.
 *
 * It understands what our commands send: lines, colours (SGR), "so many lines up" and "erase from here" (ECMA-48).
 */
import { lengthOf } from '../../../src/cli/admin/letters.ts'

interface Style {
  readonly colour: string
  readonly bold: boolean
}
interface Letter extends Style {
  readonly text: string
}

const PLAIN: Style = { colour: '#c9d1d9', bold: false }
const STYLES: Readonly<Record<string, Style>> = {
  '0': PLAIN,
  '1': { colour: '#f0f6fc', bold: true },
  '2': { colour: '#8b949e', bold: false },
  '31': { colour: '#ff7b72', bold: false },
  '32': { colour: '#3fb950', bold: false },
  '33': { colour: '#d29922', bold: false },
}
const SIZE = 14
/** Of a letter, and of a line, in pixels. */
const WIDE = 8.4
const HIGH = 19
const MARGIN = 18
const BAR = 34
const FONTS =
  "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"

// eslint-disable-next-line no-control-regex
const TOKEN = /\u001b\[(?:\d*)(?:[A-Za-z])|\n|[^\u001b\n]/gu
// eslint-disable-next-line no-control-regex
const SEQUENCE = /^\u001b\[(\d*)([A-Za-z])$/

/** The lines that are on the screen in the end, and above it. */
function screenLines(sent: string): Letter[][] {
  const lines: Letter[][] = [[]]
  let row = 0
  let style = PLAIN
  for (const [token] of sent.matchAll(TOKEN)) {
    const [, number = '', letter] = SEQUENCE.exec(token) ?? []
    if (token === '\n') {
      row += 1
      lines[row] ??= []
    } else if (letter === 'm') style = STYLES[number] ?? PLAIN
    else if (letter === 'A') row -= Number(number)
    else if (letter === 'J') lines.splice(row, Infinity, [])
    else if (letter !== undefined)
      throw new RangeError(`a terminal sequence that is not known here: ${letter}`)
    else (lines[row] ??= []).push({ text: token, ...style })
  }
  while (lines.at(-1)?.length === 0) lines.pop()
  return lines
}

/** `title` stands in the window's bar; `about` is read out in the place of the image. */
export function terminalSvg(
  sent: string,
  { title, about, columns }: { title: string; about: string; columns: number },
): string {
  const lines = screenLines(sent)
  const width = Math.ceil(columns * WIDE + 2 * MARGIN)
  const height = BAR + lines.length * HIGH + MARGIN
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, n) => `<circle cx="${20 + n * 20}" cy="17" r="6" fill="${fill}"/>`,
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(about)}">`,
    `<title>${escaped(about)}</title>`,
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    `<path d="M0 ${BAR - 6}V8a8 8 0 0 1 8-8h${width - 16}a8 8 0 0 1 8 8v${BAR - 14}z" fill="#21262d"/>`,
    ...dots,
    `<g font-family="${FONTS}" font-size="${SIZE}" fill="${PLAIN.colour}">`,
    `<text x="${width / 2}" y="19" text-anchor="middle" font-size="12" fill="#8b949e">${escaped(title)}</text>`,
    ...lines.flatMap((line, row) => wordsOf(line).map((word) => textOf(word, row))),
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

interface Word extends Style {
  readonly at: number
  readonly text: string
}

/** Each has its own place, so that columns stand below each other in whatever font there is. */
function wordsOf(line: readonly Letter[]): Word[] {
  const words: Word[] = []
  let at = 0
  let word: Word | null = null
  for (const { text, colour, bold } of line) {
    const same: Word | null = word?.colour === colour && word.bold === bold ? word : null
    if (text === ' ') word = null
    else {
      if (same === null) words.push({ at, text, colour, bold })
      else words[words.length - 1] = { ...same, text: same.text + text }
      word = words.at(-1) ?? null
    }
    at += lengthOf(text)
  }
  return words
}

function textOf({ at, text, colour, bold }: Word, row: number): string {
  const place = `x="${fixed(MARGIN + at * WIDE)}" y="${BAR + row * HIGH + SIZE}"`
  const look = `${colour === PLAIN.colour ? '' : ` fill="${colour}"`}${bold ? ' font-weight="bold"' : ''}`
  return `<text ${place} textLength="${fixed(lengthOf(text) * WIDE)}"${look}>${escaped(text)}</text>`
}

const fixed = (value: number) => String(Number(value.toFixed(1)))
const escaped = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
