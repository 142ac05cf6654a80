/**
 * What becomes of standard output and standard error when the process ends or their reader goes away.
 *
 * Promises: everything that a command prints arrives if somebody reads it. A reader that goes away (`limpet status |
 * head -1`) is not an error and ends nothing midway. Output that can't be written for another reason is an error, in
 * one line.
 */
import type { Writable } from 'node:stream'

type Stream = Pick<Writable, 'writableLength' | 'destroyed' | 'write' | 'on'>

/** EIO: a terminal that was closed. */
const READER_GONE = new Set(['EPIPE', 'EIO', 'ECONNRESET', 'ERR_STREAM_DESTROYED'])

export interface WatchedOutput {
  /** The first error other than a reader that has gone. */
  failure(): NodeJS.ErrnoException | null
  /** Resolves when all was given to the reader, or never will be, or after `withinMs`. */
  drained(withinMs: number): Promise<void>
}

/** Without this an error of a stream without a listener would end the process with a stack. */
export function watchOutput(stream: Stream): WatchedOutput {
  let failure: NodeJS.ErrnoException | null = null
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (!READER_GONE.has(error.code ?? '')) failure ??= error
  })
  return {
    failure: () => failure,
    drained: (withinMs) =>
      new Promise((resolve) => {
        if (stream.destroyed || stream.writableLength === 0) {
          // An error of the last write is told in the next turn.
          setImmediate(resolve)
          return
        }
        const timer = setTimeout(resolve, withinMs)
        // Called in turn, so everything before it is out by then, or has failed.
        stream.write('', () => {
          clearTimeout(timer)
          setImmediate(resolve)
        })
      }),
  }
}
