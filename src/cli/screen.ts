/**
 * Where text for people is shown: how wide that is, and whether it has colours.
 *
 * Promise: what is shown elsewhere than on a terminal has neither colours nor a width, unless `COLUMNS` says one.
 */
import { draw, type Io, type Output } from './io.ts'

/** Less is not made room for: a narrower terminal breaks lines. */
const NARROWEST = 80

export type Tint = 'title' | 'good' | 'warning' | 'trouble' | 'faint'

export interface Screen {
  /** In columns; Infinity: whatever a line takes. */
  readonly width: number
  /** Lines; Infinity: no terminal. */
  readonly height: number
  /** `text` as it is to be passed to `writeTinted`. */
  readonly tint: (tint: Tint, text: string) => string
}

/** SGR parameters of ECMA-48. */
const CODES: Readonly<Record<Tint, string>> = {
  title: '1',
  good: '32',
  warning: '33',
  trouble: '31',
  faint: '2',
}
const MARKS: Readonly<Record<Tint, string>> = {
  title: 't',
  good: 'g',
  warning: 'w',
  trouble: 'x',
  faint: 'f',
}
const CODE_OF = new Map(Object.entries(MARKS).map(([tint, mark]) => [mark, CODES[tint as Tint]]))

const plainly: Screen['tint'] = (_tint, text) => text
// Control characters: nothing that came from elsewhere has them in it by the time it is tinted.
const marked: Screen['tint'] = (tint, text) => `\u0001${MARKS[tint]}${text}\u0002`

/** Without colours, so many columns wide. */
export const plainScreen = (width: number): Screen => ({ width, height: Infinity, tint: plainly })

export function screenOf(output: Output, env: Io['env']): Screen {
  const isTerminal = output.isTTY === true
  const asked = /^[1-9]\d{0,5}$/.test(env['COLUMNS'] ?? '') ? Number(env['COLUMNS']) : null
  const own = isTerminal ? (output.columns ?? 0) : Infinity
  const rows = output.rows ?? 0
  const isColoured = isTerminal && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb'
  return {
    width: Math.max(NARROWEST, asked ?? own),
    height: isTerminal && rows > 0 ? rows : Infinity,
    tint: isColoured ? marked : plainly,
  }
}

/** What a screen has tinted, without colours. */
// eslint-disable-next-line no-control-regex
export const withoutTints = (text: string): string => text.replace(/\u0001[tgwxf]|\u0002/g, '')

/** Writes what a screen has tinted: its text as any text, its colours as control sequences. */
export function writeTinted(output: Output, text: string): void {
  // eslint-disable-next-line no-control-regex
  for (const [index, piece] of text.split(/\u0001([tgwxf])|\u0002/).entries()) {
    if (index % 2 === 0) {
      if (piece !== '') output.write(piece)
    } else draw(output, `\u001b[${CODE_OF.get(piece) ?? '0'}m`)
  }
}
