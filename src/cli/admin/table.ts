/**
 * Tables that fit: which columns are shown how wide, and where an id stands that does not fit beside them.
 *
 * Promise: no line is wider than the screen, except where it is a single id and nothing else. An id is never cut; one
 * that is too long for its column stands above the row (the first column's) or, with its kind before it, below. And
 * nothing that came from elsewhere reaches the terminal with control characters in it.
 */
import { plainScreen, type Screen, type Tint } from '../screen.ts'
import { cut, lengthOf } from './letters.ts'
import { cell, GAP, INDENT } from './wrap.ts'

/** A column of ids that has less room than this is worth leaving out others. */
const ROOM_FOR_IDS = 24

export interface Column<Row> {
  title: string
  value: (row: Row) => string | number | null
  /** Numbers stand at the right. */
  right?: boolean
  /** Gives way, down to this many columns: what is too long loses its middle. */
  shrinkTo?: number
  /** Another command takes it: never cut. The text: its kind, before it where it stands below its row. */
  id?: string
  /** May be left out, the highest first, where there is no room. */
  spare?: number
  tint?: (row: Row) => Tint | null
}

/** The texts of one line, and what stands for it in a column. */
interface Line<Row> {
  row: Row | null
  cells: string[]
}

/** A column with its width; null: what it holds stands above or below every row. */
interface Placed<Row> {
  column: Column<Row>
  index: number
  width: number | null
}

/** Its titles, and below each row the lines that `below` makes of it. `on`: a number is a width without colours. */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  on: Screen | number,
  below: (row: Row) => string | null = () => null,
): string {
  const screen = typeof on === 'number' ? plainScreen(on) : on
  const lines: Line<Row>[] = [
    { row: null, cells: columns.map(({ title }) => title) },
    ...rows.map((row) => ({ row, cells: columns.map(({ value }) => cell(value(row))) })),
  ]
  const placed = place(lines, columns, screen.width)
  return lines
    .flatMap((line) => {
      const said = line.row === null ? null : below(line.row)
      return [...linesOf(line, placed, screen), ...(said === null ? [] : [said])]
    })
    .join('\n')
}

function place<Row>(
  lines: readonly Line<Row>[],
  columns: readonly Column<Row>[],
  width: number,
): Placed<Row>[] {
  const all = columns.map((column, index) => {
    return { column, index, natural: Math.max(...lines.map(({ cells }) => lengthOf(cells[index] ?? ''))) }
  })
  type Measured = (typeof all)[number]
  /** What `them` take where each has its natural width, or what it can shrink to. */
  const least = (them: readonly Measured[]) =>
    them.reduce((sum, { column, natural }) => {
      const small = column.id === undefined ? column.shrinkTo : Math.min(natural, ROOM_FOR_IDS)
      return sum + Math.min(natural, small ?? natural) + GAP
    }, -GAP)
  const shown = [...all]
  while (least(shown) > width) {
    const [out] = shown
      .filter(({ column }) => column.spare !== undefined)
      .sort((a, b) => (b.column.spare ?? 0) - (a.column.spare ?? 0))
    if (out === undefined) break
    shown.splice(shown.indexOf(out), 1)
  }
  const widths = new Map(shown.map(({ index, natural }) => [index, natural]))
  const total = () => [...widths.values()].reduce((sum, one) => sum + one + GAP, -GAP)
  for (const { column, index, natural } of shown) {
    const over = total() - width
    const { shrinkTo } = column
    if (over > 0 && shrinkTo !== undefined)
      widths.set(index, Math.max(Math.min(natural, shrinkTo), natural - over))
  }
  const ids = total() <= width ? [] : shown.filter(({ column }) => column.id !== undefined)
  for (const { index } of ids) widths.delete(index)
  for (const [nth, { index }] of ids.entries()) {
    const most = width - total() - GAP
    const [title = 0, ...lengths] = lines.map(({ cells }) => lengthOf(cells[index] ?? ''))
    const fitting = lengths.filter((one) => one <= most).sort((a, b) => a - b)
    const isLast = nth === ids.length - 1
    // The others of this table shall find room too.
    const wish = isLast ? fitting.at(-1) : fitting[Math.ceil(fitting.length * 0.9) - 1]
    if (wish !== undefined && title <= most && fitting.length * 2 >= lengths.length) {
      widths.set(index, Math.max(wish, title))
    }
  }
  return shown.map(({ column, index }) => ({ column, index, width: widths.get(index) ?? null }))
}

function linesOf<Row>(
  { row, cells }: Line<Row>,
  placed: readonly Placed<Row>[],
  { width, tint }: Screen,
): string[] {
  const above: string[] = []
  const under: string[] = []
  const inRow: string[] = []
  for (const [nth, { column, index, width: own }] of placed.entries()) {
    const text = cells[index] ?? ''
    const isTooLong = column.id !== undefined && (own === null || lengthOf(text) > own)
    const hue = row === null ? 'title' : (column.tint?.(row) ?? null)
    const tinted = (it: string) => (hue === null || it === '' ? it : tint(hue, it))
    if (isTooLong && nth === 0) above.push(tinted(text))
    // The titles of what stands below say it there.
    else if (isTooLong && row !== null && text !== '-') under.push(...belowIt(column.id ?? '', text, width))
    if (own === null) continue
    inRow.push(isTooLong ? ' '.repeat(own) : pad(cut(text, own), own, column.right, tinted))
  }
  // Where every first id stands above, what belongs to it stands a little farther in.
  const used = placed.reduce((sum, { width: own }) => (own === null ? sum : sum + own + GAP), -GAP)
  const start = placed[0]?.width === null ? ' '.repeat(Math.max(0, Math.min(GAP, width - used))) : ''
  const middle = `${start}${inRow.join(' '.repeat(GAP))}`.trimEnd()
  return [...above, ...(middle === '' ? [] : [middle]), ...under]
}

/** An id with its kind before it, as far in as it can be; where that is too long, below its kind. */
function belowIt(kind: string, id: string, width: number): string[] {
  const whole = `${kind} ${id}`
  const inset = (text: string) => ' '.repeat(Math.max(0, Math.min(INDENT, width - lengthOf(text)))) + text
  return lengthOf(whole) <= width ? [inset(whole)] : [inset(kind), inset(id)]
}

const pad = (text: string, width: number, right = false, tinted: (text: string) => string) => {
  const space = ' '.repeat(Math.max(0, width - lengthOf(text)))
  return right ? space + tinted(text) : tinted(text) + space
}
