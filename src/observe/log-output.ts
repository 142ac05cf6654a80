/**
 * Where log lines go: standard output, whatever becomes of it.
 *
 * Promises: a line that can't be written (disk full, reader gone, reader that does not read) is lost and counted.
 * Nothing else happens: no error, no waiting, no growing memory. Lines are written again as soon as that is possible.
 */
import { fstatSync, writeSync } from 'node:fs'

export interface LogOutput {
  readonly isTTY: boolean
  write(line: string): void
  /** Lines lost since the start. */
  lost(): number
}

/** What of `process.stdout` is used. */
export interface OutputStream {
  readonly fd?: number
  readonly isTTY?: boolean
  readonly writableLength: number
  readonly destroyed: boolean
  write(text: string, done: (error?: Error | null) => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** Bytes that may wait for a reader who is slow: a burst of some thousand lines. */
const MOST_WAITING = 4 * 1024 * 1024

/** For `stream`, over its file descriptor where that is a file. */
export function makeLogOutput(stream: OutputStream, { mostWaiting = MOST_WAITING } = {}): LogOutput {
  let lost = 0
  const lose = () => (lost += 1)
  // Errors are told to each write too. Without a listener they would end the process.
  stream.on('error', () => undefined)

  function toStream(line: string): void {
    if (stream.destroyed || stream.writableLength > mostWaiting) lose()
    else stream.write(line, (error) => error != null && lose())
  }

  // Half of a line was written before the disk was full: the next one must not continue it.
  let torn = false
  function toFile(fd: number, line: string): void {
    const bytes = Buffer.from(torn ? `\n${line}` : line)
    let written = 0
    try {
      while (written < bytes.length) written += writeSync(fd, bytes, written)
      torn = false
    } catch {
      if (written > 0) torn = !(torn && written === 1)
      lose()
    }
  }

  const { fd } = stream
  // Not through Node's stream for files, which is of no use after its first error, also once there is space again.
  const file = fd !== undefined && stream.isTTY !== true && isFile(fd) ? fd : null
  return {
    isTTY: stream.isTTY === true,
    write: (line) => (file === null ? toStream(line) : toFile(file, line)),
    lost: () => lost,
  }
}

/** A file, or a device such as /dev/full; what can make a write wait (a pipe, a socket) is none. */
function isFile(fd: number): boolean {
  try {
    const found = fstatSync(fd)
    return found.isFile() || found.isCharacterDevice()
  } catch {
    return false
  }
}
