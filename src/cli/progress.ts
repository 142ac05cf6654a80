/**
 * Says on standard error what a command is waiting for, once that takes longer than two seconds.
 *
 * On a terminal the line counts the seconds and disappears at the end. Elsewhere one line is printed at first and
 * another every ten seconds.
 */
import { draw, type Output } from './io.ts'

const FIRST_MS = 2000
const LATER_MS = 10_000

/** `what`: asked anew for each line where it is a function. */
export async function withProgress<T>(
  stderr: Output,
  what: string | (() => string),
  work: Promise<T>,
): Promise<T> {
  const words = typeof what === 'string' ? () => what : what
  const terminal = stderr.isTTY === true
  let seconds = FIRST_MS / 1000
  let lines = 0
  const tell = () => {
    lines += 1
    // The one before may have been longer.
    if (terminal) draw(stderr, `\r\u001b[K${words()} … ${seconds} s`)
    else stderr.write(`${words()} … ${seconds} s\n`)
    const next = terminal ? 1000 : LATER_MS
    seconds += next / 1000
    timer = setTimeout(tell, next)
  }
  let timer = setTimeout(tell, FIRST_MS)
  try {
    return await work
  } finally {
    clearTimeout(timer)
    if (lines > 0 && terminal) draw(stderr, '\r\u001b[K')
  }
}
