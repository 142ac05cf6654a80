/**
 * Reads a dump piece by piece, as it comes: lines of JSON, and the rows of tables between them.
 *
 * Always: what is in memory is one piece and one row. Everything that was read is in the SHA-256, which the last line is
 * compared with, and nothing comes after that line.
 */
import { createHash } from 'node:crypto'
import { damaged } from './dump-error.ts'
import { END_OF_ROWS, parseDumpEnd, type DumpEnd } from './format.ts'

/** A row has a few MiB at most. Longer without a line break: that is no dump, bytes. */
const LONGEST_LINE = 64 * 1024 * 1024
const LINE_BREAK = 10
const END_BEHIND_A_ROW = Buffer.concat([Buffer.from('\n'), END_OF_ROWS])

export interface DumpReader {
  /** The next line, without its break. */
  line(): Promise<string>
  /** The rows up to the line `\.`, which is read too. Whole lines. */
  rows(): AsyncGenerator<Buffer, void>
  /** The last line, which is compared with all that was read before it, and with what was counted. */
  end(tables: number, rows: number): Promise<DumpEnd>
}

export function readDump(pieces: AsyncIterable<Buffer>): DumpReader {
  const source = pieces[Symbol.asyncIterator]()
  const hash = createHash('sha256')
  let here: Buffer = Buffer.alloc(0)

  /** Adds what comes next to `here`; false: nothing comes any more. */
  async function more(): Promise<boolean> {
    if (here.length > LONGEST_LINE) damaged('a line has no end')
    const next = await source.next()
    if (next.done === true) return false
    here = here.length === 0 ? next.value : Buffer.concat([here, next.value])
    return true
  }

  function take(length: number): Buffer {
    const taken = here.subarray(0, length)
    here = here.subarray(length)
    return taken
  }

  async function lineBytes(): Promise<Buffer> {
    for (let from = 0; ;) {
      const at = here.indexOf(LINE_BREAK, from)
      if (at >= 0) return take(at + 1)
      from = here.length
      if (!(await more())) damaged('it ends in the middle')
    }
  }

  const text = (line: Buffer) => line.subarray(0, -1).toString()

  return {
    async line() {
      const line = await lineBytes()
      hash.update(line)
      return text(line)
    },
    async *rows() {
      for (;;) {
        const found = endIn(here)
        // Up to the last whole line: what follows it may be the end of the rows.
        const whole = found ?? here.lastIndexOf(LINE_BREAK) + 1
        if (whole > 0) {
          const piece = take(whole)
          hash.update(piece)
          yield piece
        }
        if (found !== null) {
          hash.update(take(END_OF_ROWS.length))
          return
        }
        if (!(await more())) damaged('it ends in the middle')
      }
    },
    async end(tables, rows) {
      const end = parseDumpEnd(text(await lineBytes()))
      if (end.sha256 !== hash.digest('hex')) damaged('its checksum does not match')
      if (end.tables !== tables || end.rows !== rows)
        damaged(`it says ${end.rows} rows of ${end.tables} tables and has ${rows} of ${tables}`)
      // What unpacks it compares a checksum of its own at the very end.
      if (here.length > 0 || (await more())) damaged('something follows its last line')
      return end
    },
  }
}

/** Where the line `\.` begins; `here` begins with a line. Null: it is not in it, as a whole. */
function endIn(here: Buffer): number | null {
  if (here.subarray(0, END_OF_ROWS.length).equals(END_OF_ROWS)) return 0
  const at = here.indexOf(END_BEHIND_A_ROW)
  return at < 0 ? null : at + 1
}
