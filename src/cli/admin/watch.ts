/**
 * `--watch`: asks and shows again and again.
 *
 * Promise: on a terminal each picture is drawn over the one before and has no more lines than the screen. The first failure
 * of the first asking is the command's; a later one is shown, and it goes on. It ends when nobody reads any more.
 */
import { CommandError, UsageError } from '../cli-error.ts'
import { draw, type Output } from '../io.ts'
import { writeTinted, type Screen } from '../screen.ts'
import { lengthOf, plain } from './letters.ts'

export interface Watched {
  /** Asks, and makes text of it. */
  readonly view: () => Promise<string>
  readonly everyMs: number
  readonly output: Output
  /** As it is now: a window changes its size. */
  readonly screen: () => Screen
  /** For the first line. */
  readonly title: string
  readonly now: () => number
  /** False: it is over. */
  readonly wait: (ms: number) => Promise<boolean>
}

/** `--every`, in ms. */
export function parseEvery(seconds: string | undefined): number {
  const value = seconds === undefined ? 2 : /^\d{1,5}(\.\d{1,3})?$/.test(seconds) ? Number(seconds) : NaN
  if (value >= 0.5 && value <= 86_400) return value * 1000
  throw new UsageError(
    `--every must be a number of seconds from 0.5 to 86400, not ${JSON.stringify(seconds)}`,
  )
}

export async function watch({ view, everyMs, output, screen, title, now, wait }: Watched): Promise<void> {
  let text = await view()
  const isTerminal = output.isTTY === true
  if (isTerminal) draw(output, '\u001b[2J')
  do {
    if (isTerminal) {
      const time = new Date(now()).toISOString().slice(11, 19)
      const head = screen().tint('faint', `${plain(title)}, every ${everyMs / 1000} s, at ${time} UTC`)
      drawOver(output, `${head}\n\n${text}`, screen())
    } else writeTinted(output, `${text}\n`)
    if (!(await wait(everyMs))) return
    text = await view().catch((error: unknown) => {
      if (error instanceof CommandError) return plain(error.message)
      throw error
    })
  } while (output.destroyed !== true)
}

function drawOver(output: Output, text: string, { width, height }: Screen): void {
  draw(output, '\u001b[H')
  for (const line of fitting(text.split('\n'), { width, height })) {
    writeTinted(output, line)
    draw(output, '\u001b[K')
    output.write('\n')
  }
  draw(output, '\u001b[J')
}

/** As many lines as there is room for above the cursor's, and how many are missing. */
export function fitting(
  lines: readonly string[],
  { width, height }: Pick<Screen, 'width' | 'height'>,
): string[] {
  const rowsOf = (line: string) =>
    // eslint-disable-next-line no-control-regex
    Math.max(1, Math.ceil(lengthOf(line.replace(/\u0001.|\u0002/g, '')) / width))
  const all = lines.reduce((sum, line) => sum + rowsOf(line), 0)
  if (all <= height - 1) return [...lines]
  let used = 1
  const end = lines.findIndex((line) => (used += rowsOf(line)) > height - 1)
  return [...lines.slice(0, end), `… ${lines.length - end} more lines`]
}
